"""What Alembic runs for every command: migrate over the connection that the caller opened."""

from alembic import context

from tailorbird.store.tables import Base


def migrate() -> None:
    """Run the migrations inside the caller's transaction, which commits all of them or none."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite cannot alter a column in place
    )
    context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic loads this file; an import does nothing
    migrate()
