"""A plain editor of text: lines with their numbers, and a mark at the one that is wrong."""

from __future__ import annotations

import json
import re

from nicegui import ui

from tailorbird.console.drawing import text

MAX_CHARS = 300_000
"""Longer texts are not for a browser: each key pressed sends the whole of it."""
SCRIPT = """<script>
window.tbEditor = (key) => {
  const box = document.querySelector(`[data-editor="${key}"]`);
  const area = box && box.querySelector("textarea");
  if (!area) return setTimeout(() => tbEditor(key), 50);
  const gutter = box.querySelector(".tb-gutter"), mark = box.querySelector(".tb-mark");
  let n = 0;
  const draw = () => {
    const now = area.value.split("\\n").length;
    if (now !== n) {
      n = now;
      gutter.textContent = Array.from({length: n}, (_, i) => i + 1).join("\\n");
    }
    gutter.scrollTop = area.scrollTop;
    const line = +(mark.dataset.line || 0);
    mark.style.display = line ? "block" : "none";
    mark.style.top = `${10 + 21 * (line - 1) - area.scrollTop}px`;
  };
  area.addEventListener("input", () => { mark.dataset.line = 0; draw(); });
  area.addEventListener("scroll", draw);
  box.tbMark = (line) => {
    mark.dataset.line = line;
    if (line) {
      const lines = area.value.split("\\n");
      const at = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
      area.focus();
      area.setSelectionRange(at, at);
      area.scrollTop = Math.max(0, 21 * (line - 6));
    }
    draw();
  };
  box.tbDraw = () => requestAnimationFrame(draw);
  draw();
};
</script>"""
_PLACE = re.compile(r"^(rules|facts):(\d+)")
_TOML_LINE = re.compile(r"^rules: .*\(at line (\d+)")


def place_of(error: str) -> tuple[str, int]:
    """Which text an error of the checker is about, and in which line; 0: not known.

    >>> place_of("rules:7 (late), when: 'intnt' is no symbol")
    ('rules', 7)
    >>> place_of("rules: is not TOML: Invalid value (at line 3, column 8)")
    ('rules', 3)
    >>> place_of("facts: holds too many")
    ('facts', 0)
    """
    found = _PLACE.match(error)
    if found:
        return found[1], int(found[2])
    toml = _TOML_LINE.match(error)
    if toml:
        return "rules", int(toml[1])
    return ("facts" if error.startswith("facts") else "rules"), 0


class Editor:
    """An editor called *key* under its *heading*."""

    def __init__(self, key: str, heading: str, note: str, hint: str, *, can_edit: bool) -> None:
        self._key = key
        self._heading = heading
        self._note = note
        self._hint = hint
        self._can_edit = can_edit

    def build(self, value: str) -> None:
        """Put it on the page with *value* in it."""
        with ui.element("div").classes("tb-card tb-editor"):
            with ui.element("div").classes("tb-editor-head"):
                text(self._heading, tag="h2")
                text(self._note, "tb-hint", tag="span")
            box = ui.element("div").classes(f"tb-code tb-code-{self._key}")
            with box.props(f'data-editor="{self._key}"'):
                ui.element("div").classes("tb-mark")
                ui.element("div").classes("tb-gutter").props('aria-hidden="true"')
                self._field = ui.textarea(value=value, placeholder=self._hint)
                self._field.props(
                    f'borderless spellcheck="false" wrap="off" aria-label="{self._heading}" '
                    f"maxlength={MAX_CHARS}"
                )
                if not self._can_edit:
                    self._field.props("readonly")
        self._run(f"tbEditor({json.dumps(self._key)})")

    @property
    def value(self) -> str:
        """What is written there now."""
        return str(self._field.value or "")

    @value.setter
    def value(self, value: str) -> None:
        self._field.value = value
        self._on_box("tbDraw()")

    def mark(self, line: int) -> None:
        """Go to *line*, from 1, and mark it; 0 takes the mark away."""
        self._on_box(f"tbMark({line})")

    def _on_box(self, call: str) -> None:
        box = f'document.querySelector(`[data-editor="{self._key}"]`)'
        self._run(f"setTimeout(() => {box}?.{call}, 30)")

    def _run(self, code: str) -> None:
        ui.run_javascript(code)
