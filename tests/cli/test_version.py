"""The version, asked for alone."""

from __future__ import annotations

from typer.testing import CliRunner

from tailorbird import __version__
from tailorbird.cli import app


def test_version_needs_no_verb() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"{__version__}\n")
