"""The smallest pieces of a page: texts and icons."""

from __future__ import annotations

from nicegui import ui


def svg(paths: str, *, label: str = "") -> ui.html:
    """An icon of 24 units, drawn in the colour of the text around it."""
    named = f'role="img" aria-label="{label}"' if label else 'aria-hidden="true"'
    return ui.html(
        f'<svg viewBox="0 0 24 24" {named}>{paths}</svg>', sanitize=False, tag="span"
    ).classes("tb-icon")


def text(content: str, *classes: str, tag: str = "div") -> ui.element:
    """An element that holds *content* as plain text."""
    with ui.element(tag).classes(" ".join(classes)) as element:
        ui.html(content, sanitize=_escape, tag="span")
    return element


def _escape(content: str) -> str:
    return content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
