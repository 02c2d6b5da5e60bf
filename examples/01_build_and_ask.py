"""Logs in, assistant out: build it from the sample logs, then ask it something.

python examples/01_build_and_ask.py
python examples/01_build_and_ask.py tuning.n_epochs=1 model.backbone=minilm
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tailorbird import api
from tailorbird.config import load_settings
from tailorbird.records import StepReport

LOGS = Path(__file__).parent / "logs" / "shop.jsonl"
QUESTIONS = ["我的包裹怎么还没到？", "I want my money back", "Who won the match last night?"]


class Watcher:
    """Hears what a build does; any object with these three methods will do."""

    def stage(self, name: str) -> None:
        """A stage begins."""
        print(f"- {name}")

    def say(self, sentence: str) -> None:
        """A decision was taken, with its reason."""
        print(f"    {sentence}")

    def step(self, report: StepReport) -> None:
        """One update, or one look at the validation rows."""
        if report.event == "validation":
            accuracy = report.metrics["accuracy"]
            print(f"    epoch {report.epoch:.0f}: validation accuracy {accuracy:.3f}")


def main() -> None:
    """Build in a folder that goes away afterwards, and print three answers."""
    settings = load_settings(overrides=sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder, api.open_workspace(folder) as workspace:
        bundle = api.build(str(LOGS), workspace, settings, listener=Watcher())
        assert bundle is not None  # None only where somebody asked the build to stop
        for question, answer in zip(QUESTIONS, bundle.predict(QUESTIONS), strict=True):
            scope = "" if answer.in_scope else ", out of scope: for a person to answer"
            print(f"{question}\n  {answer.intent} ({answer.confidence:.0%}{scope})")
            print(f"  {answer.answer or 'no answer is known'}")


if __name__ == "__main__":
    main()
