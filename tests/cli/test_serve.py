"""``tailorbird serve``: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from typer.testing import CliRunner

from tailorbird.cli import app
from tailorbird.errors import ConfigError, StoreError

RUNNER = CliRunner()


def test_it_says_where_it_answers_and_ends_in_order(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from tailorbird.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "serve", "--workspace", str(tmp_path), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(6)]
    first, console, predict, widget, docs, how_to_stop = lines
    assert "none yet; build one with: tailorbird build LOGS" in first
    assert how_to_stop.startswith("  Ctrl-C")
    for line in (console, widget, docs):
        with urllib.request.urlopen(line.split()[-1], timeout=30) as response:
            assert response.status == 200
    health = predict.split()[-1].replace("/v1/predict", "/healthz")
    with urllib.request.urlopen(health, timeout=30) as response:
        assert json.load(response) == {"status": "alive"}
    process.send_signal(signal.SIGINT)
    assert process.stderr.read() == "stopped\n"
    assert process.wait(timeout=60) == 0
    process.stderr.close()


def test_a_taken_port_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = RUNNER.invoke(app, ["serve", "-w", str(tmp_path), "--port", str(port)])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).endswith(f"choose another: --port {port + 1}")


def test_others_are_let_in_only_with_a_key(tmp_path: Path) -> None:
    command = ["serve", "-w", str(tmp_path), "--host", "0.0.0.0"]
    done = RUNNER.invoke(app, command, env={"TAILORBIRD_API_KEY": None})
    assert isinstance(done.exception, ConfigError)
    assert "--api-key or $TAILORBIRD_API_KEY" in str(done.exception)


def test_a_bundle_nobody_knows_is_refused(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["serve", "-w", str(tmp_path), "--bundle", "0123456789abcdef"])
    assert isinstance(done.exception, StoreError)
    assert "0123456789abcdef" in str(done.exception)
