"""The settings that won, as a TOML file that a build or a fit begins with."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from tailorbird.config import Settings
from tailorbird.store import files

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


def write_best(path: Path, settings: Settings, comment: str) -> None:
    """Write *settings* to *path*, in one step, below a *comment* of one or more lines."""
    remarks = "".join(f"# {line}\n" for line in comment.splitlines())
    files.write_atomically(path, f"{remarks}\n{settings_toml(settings)}".encode())


def settings_toml(settings: Settings) -> str:
    """What `load_settings` reads as *settings*: those that differ from the defaults.

    >>> from tailorbird.config import load_settings
    >>> print(settings_toml(load_settings(overrides=["method.rank=4", "method.name=lora"])))
    [method]
    name = "lora"
    rank = 4
    <BLANKLINE>
    """
    plain, parts = Settings(), []
    for section in fields(settings):
        mine, default = getattr(settings, section.name), getattr(plain, section.name)
        lines = [
            f"{key.name} = {to_toml(getattr(mine, key.name))}"
            for key in fields(mine)
            if getattr(mine, key.name) != getattr(default, key.name)
        ]
        if lines:
            parts.append("\n".join([f"[{section.name}]", *lines]) + "\n")
    return "\n".join(parts)


def to_toml(value: Any) -> str:
    """A text, number, truth value or row of them as TOML.

    >>> to_toml(True), to_toml(1e-05), to_toml("a'b"), to_toml((7, 2, 1))
    ('true', '1e-05', '"a\\'b"', '[7, 2, 1]')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(to_toml, value))}]"
    return repr(value)


def _escaped(letter: str) -> str:
    is_control = ord(letter) < 32 or ord(letter) == 127
    return _ESCAPES.get(letter, f"\\u{ord(letter):04x}" if is_control else letter)
