"""A workspace to serve from, the servers as processes of their own, and the peer's model."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import ours as side
from benchmarks.sets import SETS, load_set
from tailorbird.bundle import BundleContents, load_bundle, registry, write_bundle
from tailorbird.config import ModelSettings, Settings
from tailorbird.evaluation.calibration import calibrate
from tailorbird.modeling import load_model, save_model
from tailorbird.serving.access import Keys
from tailorbird.store import Workspace

EXAMPLES = Path(__file__).parents[1] / "examples"
SERVE = ("from tailorbird.cli import main; main()", "serve")
DOCUMENTS = (".md", ".txt", ".html", ".csv")
AGENTS = ("ada", "bo")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Place:
    """What is served, and what to ask it."""

    workspace: Path
    texts: list[str]
    agents: list[str]
    """Their keys."""
    program: str
    """The key of a program that sends texts to ``/v1/predict``."""
    backbone: Path
    n_intents: int
    accuracy: float


def make_place(options: argparse.Namespace, folder: Path) -> Place:
    """A workspace with a live bundle, documents, rules and keys.

    The head is a linear discriminant of MiniLM's features: no tuning, which timing does not
    depend on, and good enough that most intents are answered with their templates as in earnest.
    """
    train, _, test = load_set("banking77", options.data)
    labels = sorted(set(train.targets))
    backbone = side.backbone(options.backbone)
    settings = Settings(model=ModelSettings(dtype=options.dtype))
    prepared = side.prepare(
        train, labels, backbone, settings, max_tokens=SETS["banking77"].max_tokens
    )
    save_model(prepared.model, folder / "model", backbone=backbone.path)
    model = load_model(folder / "model")
    logits = model.logits(test.texts).numpy()
    known = [labels.index(target) for target in test.targets]
    fitted = calibrate(logits, known)
    templates = {label: {"en": [_template(label)]} for label in labels}
    contents = BundleContents(
        folder / "model", labels, templates, {}, {}, fitted.temperature, fitted.threshold
    )
    bundle = load_bundle(write_bundle(folder / "bundles", contents).path)
    with Workspace.open(folder / "space") as space:
        registry.publish(space, bundle, "a benchmark")
        keys = Keys(space)
        agents = [keys.create(name, "agent") for name in AGENTS]
        program = keys.create("program", "visitor")
        if not options.no_knowledge:
            _teach(space, options.encoder)
    right = float((logits.argmax(-1) == np.array(known)).mean())
    path = folder / "space"
    return Place(path, test.texts, agents, program, backbone.path, len(labels), right)


def _template(intent: str) -> str:
    return f"This is about “{intent.replace('_', ' ')}”. You find all of it under Help in the app."


def _teach(space: Workspace, encoder: str) -> None:
    """The documents and the rules of the examples; fitted to, as a service that has run is."""
    from tailorbird.knowledge import open_base, open_encoder
    from tailorbird.knowledge.rules import save_rules

    open_encoder(space, encoder)
    base, support = open_base(space)
    documents = EXAMPLES / "knowledge"
    for path in sorted(documents.rglob("*")):
        if path.suffix in DOCUMENTS:
            base.add(path.relative_to(documents).as_posix(), path.read_bytes())
    support.follow()
    rules, facts = (EXAMPLES / "rules" / name for name in ("rules.toml", "facts.txt"))
    save_rules(space, rules.read_text("utf-8"), facts.read_text("utf-8"), author="benchmark")


def export_peer(place: Place, folder: Path) -> Path:
    """The same backbone with a head of as many intents, as transformers saves it."""
    import transformers

    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        place.backbone, num_labels=place.n_intents
    )
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(place.backbone).save_pretrained(folder)
    return folder


class Server:
    """One server as a process of its own, which can be killed and started again."""

    def __init__(self, words: Sequence[str], *, log: Path, ready: str = "/readyz") -> None:
        self._words = words
        self._log = log
        self._ready = ready
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._spent_s = 0.0

    @classmethod
    def ours(cls, place: Place, *, log: Path) -> Server:
        """``tailorbird serve`` on the workspace, open to visitors, without limits of rate."""
        told = {
            "serving.public_chat": "true",
            "access.visitor_per_minute": "0",
            "access.key_per_minute": "0",
        }
        sets = [word for key, value in told.items() for word in ("--set", f"{key}={value}")]
        return cls(["-c", *SERVE, "--workspace", str(place.workspace), *sets], log=log)

    @classmethod
    def peer(cls, model: Path, dtype: str, *, log: Path) -> Server:
        """`benchmarks.desk_peer` with *model*."""
        words = ["-m", "benchmarks.desk_peer", "--model", str(model), "--dtype", dtype]
        return cls(words, log=log)

    def start(self) -> float:
        """Start it; seconds until it says that it can answer."""
        started_s = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._words, "--port", str(self.port)], stdout=log, stderr=log
            )
        while not self._answers():
            if self._process.poll() is not None:
                sys.exit(f"the server ended:\n{self._log.read_text('utf-8')[-3000:]}")
            time.sleep(0.1)
        return time.monotonic() - started_s

    def kill(self) -> None:
        """kill -9: nothing is finished, nothing said."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to finish, and wait until it has."""
        self._end(signal.SIGTERM)

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time since it was first started, all its processes together."""
        return self._spent_s + self._now_s()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._spent_s += self._now_s()
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _now_s(self) -> float:
        return 0.0 if self._process is None else _spent_s(self._process.pid)

    def _answers(self) -> bool:
        address = self.address + self._ready
        with suppress(OSError), urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
        return False


def _spent_s(pid: int) -> float:
    """Processor time of a process, of those that it has started, and of those that have ended."""
    ticks, parents = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            stat = file.read_text("ascii").rpartition(")")[2].split()
            ticks[int(file.parent.name)] = sum(map(int, stat[11:15]))
            parents[int(file.parent.name)] = int(stat[1])
    family = {pid}
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks.get(one, 0) for one in family) / TICKS


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
