"""Write docs/reference/: every setting, every command and every error, from the code itself.

python tools/make_reference.py            # writes
python tools/make_reference.py --check    # says which pages are out of date, exit code 1
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from tailorbird import errors
from tailorbird.config import Settings, describe_settings

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- written by tools/make_reference.py; do not edit -->\n\n"


def settings_page() -> str:
    """A table a section: key, default, sentence."""
    lines = [
        "# Settings\n",
        "A TOML file (`--config FILE`), or one at a time: `--set tuning.n_epochs=2`. Every key is",
        "optional; 0 or an empty text mostly means: decided by the data, and said with the reason.",
        "",
    ]
    rows = describe_settings()
    for section in fields(Settings):
        about = str(type(getattr(Settings(), section.name)).__doc__).splitlines()[0]
        lines += [f"## {section.name}", "", about, "", "| key | default | meaning |"]
        lines.append("| --- | --- | --- |")
        for key, (default, sentence) in rows.items():
            name, _, field = key.partition(".")
            if name == section.name:
                shown = json.dumps(default, ensure_ascii=False)
                lines.append(f"| `{field}` | `{shown}` | {sentence.replace('|', '/')} |")
        lines.append("")
    return NOTE + "\n".join(lines)


def commands_page() -> str:
    """What typer itself says of every verb and option."""
    command = [sys.executable, "-m", "typer", "tailorbird.cli", "utils", "docs"]
    done = subprocess.run(
        [*command, "--name", "tailorbird", "--title", "Commands"],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    return NOTE + "\n".join(lines).rstrip() + "\n"


def errors_page() -> str:
    """The error tree as its module draws it."""
    tree = str(errors.__doc__).partition("::")[2].strip("\n")
    about = (
        "Every error is a `TailorbirdError` and also the standard exception beside it. It reads\n"
        "as `where: what; cure`. On the command line it is one sentence and exit code 1, with\n"
        "`--json` an object."
    )
    return f"{NOTE}# Errors\n\n{about}\n\n```text\n{tree}\n```\n"


def main() -> None:
    """Write the pages, or say which are out of date."""
    pages = {"settings": settings_page(), "commands": commands_page(), "errors": errors_page()}
    stale = []
    for name, text in pages.items():
        path = FOLDER / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    print(f"{'out of date' if '--check' in sys.argv else 'written'}: {', '.join(stale) or 'none'}")
    sys.exit(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
