import logging
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

import tailorbird.store
from tailorbird.store import Workspace
from tailorbird.store.database import for_writing, open_engine, upgrade
from tailorbird.store.tables import Base

MIGRATIONS = Path(tailorbird.store.__file__).parent / "migrations"


def test_the_migrated_schema_equals_the_tables(workspace: Workspace) -> None:
    with workspace.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    assert set(inspect(workspace.engine).get_table_names()) == {
        "admin_actions",
        "alembic_version",
        "bundles",
        "chunks",
        "conversations",
        "daily_lists",
        "decisions",
        "deployments",
        "desk_agents",
        "documents",
        "drafts",
        "events",
        "impressions",
        "items",
        "keys",
        "opinion_alerts",
        "opinion_deliveries",
        "opinion_entities",
        "opinion_labels",
        "opinion_mentions",
        "opinion_post_topics",
        "opinion_posts",
        "opinion_silences",
        "opinion_sources",
        "opinion_topic_proposals",
        "rule_sets",
        "runs",
        "served_interactions",
        "turns",
    }


def test_downgrading_undoes_everything_and_upgrading_brings_it_back(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'some.db'}")
    upgrade(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with for_writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    upgrade(engine)
    assert "runs" in inspect(engine).get_table_names()
    engine.dispose()


def test_opening_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    Workspace.open(tmp_path).close()
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_every_folder_of_migrations_is_a_package_so_that_wheels_carry_it() -> None:
    folders = {file.parent for file in MIGRATIONS.rglob("*.py")}
    assert folders == {MIGRATIONS, MIGRATIONS / "versions"}
    assert all((folder / "__init__.py").is_file() for folder in folders)
