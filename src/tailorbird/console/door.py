"""Coming in with a key, and going out: the browser speaks to ``/v1/session`` as programs do.

The key goes from the page to that route and nowhere else; what stays is the session's cookie.
"""

from __future__ import annotations

import json

from nicegui import ui

from tailorbird.console.drawing import svg, text

LEAVE = '<path d="M14 4h-8v16h8M10 12h10M17 8.5l3.5 3.5-3.5 3.5"/>'
SIGN_IN = """async (event) => {
  event.preventDefault();
  const form = event.target, said = form.querySelector("[role=alert]");
  said.textContent = "";
  const answer = await fetch("/v1/session", {
    method: "POST",
    headers: {"Content-Type": "application/json", "Accept-Language": document.documentElement.lang},
    body: JSON.stringify({key: form.elements.key.value}),
  });
  if (answer.ok) { location.reload(); return; }
  const problem = answer.status === 401 ? null : (await answer.json()).error;
  said.textContent = problem ? problem.message : WRONG;
  form.elements.key.select();
}"""
SIGN_OUT = """async () => {
  const token = document.cookie.split("; ").find((one) => one.startsWith("tailorbird_csrf="));
  await fetch("/v1/session", {
    method: "DELETE",
    headers: {"X-CSRF-Token": token ? token.split("=")[1] : ""},
  });
  location.reload();
}"""


def show_door(words: dict[str, str]) -> None:
    """Ask for a key."""
    with ui.element("form").classes("tb-card tb-door") as form:
        text(words["key_heading"], tag="h1")
        text(words["key_text"], "tb-soft", tag="p")
        ui.element("input").classes("tb-key-field").props(
            f'type="password" name="key" required autocomplete="current-password" '
            f'aria-label="{words["key"]}" placeholder="{words["key"]}"'
        )
        ui.element("p").classes("tb-problem-line").props('role="alert"')
        text(words["key_send"], "tb-primary", tag="button").props('type="submit"')
    form.on("submit", js_handler=SIGN_IN.replace("WRONG", json.dumps(words["key_wrong"])))


def show_sign_out(name: str, words: dict[str, str]) -> None:
    """A button that ends the session of whoever is called *name*."""
    with ui.element("button").classes("tb-theme").props('type="button"') as button:
        svg(LEAVE, label=words["sign_out"].format(name=name))
    button.on("click", js_handler=SIGN_OUT)
