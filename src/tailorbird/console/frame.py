"""What every page of the console shares: its look, its header, and who may see it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nicegui import app as nicegui_app
from nicegui import ui
from starlette.requests import Request

from tailorbird.console.door import show_door, show_sign_out
from tailorbird.console.drawing import svg, text
from tailorbird.console.words import WORDS, Language, preferred_language
from tailorbird.serving import Service
from tailorbird.serving.access import LOCAL, VISITOR, Person
from tailorbird.store import Workspace
from tailorbird.store.tables import Role

PATH = "/console"
STYLE = "".join(
    (Path(__file__).parent / f"{name}.css").read_text(encoding="utf-8")
    for name in ("style", "header", "data", "work")
)
LEAF = (Path(__file__).parent / "leaf.svg").read_text(encoding="utf-8")
THEMES: dict[str, bool | None] = {"auto": None, "light": False, "dark": True}
THEME_ICONS = {
    "auto": '<circle cx="12" cy="12" r="8"/><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/>',
    "light": '<circle cx="12" cy="12" r="4"/><path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7'
    'M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4"/>',
    "dark": '<path d="M20 14.5A8 8 0 0 1 9.5 4a8 8 0 1 0 10.5 10.5z"/>',
}

RESPONSE_TIMEOUT_S = 30.0
"""A page waits so long for the database before it gives up."""
N_BESIDE = 5
"""So many entries of the navigation fit beside the name."""
SHOW_CURRENT = """<script>addEventListener("load", () => {
  const wait = setInterval(() => {
    const here = document.querySelector(".tb-nav [aria-current]");
    if (!here) return;
    clearInterval(wait);
    const row = here.closest(".tb-nav");
    row.scrollLeft = here.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
  }, 50);
  setTimeout(() => clearInterval(wait), 5000);
});</script>"""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One entry of the navigation."""

    place: int
    """Entries stand in this order; those of the same ten belong together: 10 the assistant, 20 the
    people who help, 30 what it may answer from, 40 how it was made, 60 other doors."""
    key: str
    """Of its word, which is also what a page calls itself."""
    target: str
    role: Role = "agent"


@dataclass(frozen=True, slots=True)
class Console:
    """What the pages need: the service they speak to, the secret that signs their cookies, and
    the workspace, where there is one."""

    service: Service
    secret: str
    workspace: Workspace | None = None
    entries: list[Entry] = field(default_factory=list)
    """Of the navigation; each page adds its own by `offer`."""

    def offer(self, key: str, target: str, *, place: int, role: Role = "agent") -> None:
        """Show the page *key* in the navigation to those who may what *role* may; see `Entry`."""
        self.entries.append(Entry(place, key, target, role))
        self.entries.sort()


def person_of(request: Request) -> Person:
    """Who looks at a page, as the outer wall has found out; nobody known where it has not."""
    person: Person = getattr(request.state, "person", VISITOR)
    return person


def language_of_visitor(request: Request) -> Language:
    """The language chosen before, else the browser's."""
    chosen = nicegui_app.storage.user.get("language")
    if chosen in ("zh", "en"):
        return "zh" if chosen == "zh" else "en"
    return preferred_language(request.headers.get("accept-language", ""))


def colours_of_visitor() -> bool | None:
    """Whether the visitor chose dark colours; None where the system decides."""
    return THEMES.get(nicegui_app.storage.user.get("theme", "auto"))


@contextlib.contextmanager
def frame(
    console: Console,
    request: Request,
    *,
    here: str,
    role: Role = "agent",
    is_wide: bool = False,
) -> Iterator[dict[str, str] | None]:
    """The page around its content; yields its words, or None to whoever may not what *role* may.

    They find the door there instead, or that it is for others than them.
    """
    person = person_of(request)
    language = language_of_visitor(request)
    words = WORDS[language]
    ui.page_title(f"{words['name']} · {words[here]}")
    html_language = "zh-CN" if language == "zh" else "en"
    ui.add_head_html(
        f"<style>{STYLE}</style><script>document.documentElement.lang = '{html_language}'</script>"
    )
    _header(console, person, words, language, here)
    with ui.element("main").classes("tb-main tb-wide" if is_wide else "tb-main"):
        if person.may(role):
            yield words
            return
        if person.may("agent"):
            empty_state(words["not_yours"], words["not_yours_text"].format(name=person.name))
        else:
            show_door(words)
        yield None


def empty_state(title: str, sentence: str, command: str = "", *more: tuple[str, str]) -> None:
    """A page with nothing to show says why, and what to do; *more*: sentence and command."""
    with ui.element("section").classes("tb-empty"):
        ui.html(LEAF, sanitize=False).classes("tb-empty-leaf")
        text(title, tag="h1")
        text(sentence, "tb-soft", tag="p")
        if command:
            text(command, "tb-command", tag="code")
        for other, instead in more:
            text(other, "tb-soft", tag="p")
            text(instead, "tb-command", tag="code")


def _header(
    console: Console, person: Person, words: dict[str, str], language: Language, here: str
) -> None:
    with (
        ui.element("header").classes("tb-header"),
        ui.element("div").classes("tb-header-inside"),
    ):
        with ui.element("a").classes("tb-brand").props(f'href="{PATH}/"'):
            ui.html(LEAF, sanitize=False, tag="span").classes("tb-logo")
            text(words["name"], "tb-name", tag="span")
            text(words["other_name"], "tb-other-name", tag="span")
        _navigation([one for one in console.entries if person.may(one.role)], words, here)
        with ui.element("div").classes("tb-switches"):
            _language_switch(words, language)
            _theme_switch(words)
            if person not in (LOCAL, VISITOR):
                show_sign_out(person.name, words)


def _navigation(entries: list[Entry], words: dict[str, str], here: str) -> None:
    """All entries in one row, or in a row of their own where they are many; see header.css."""
    many = " tb-nav-many" if len(entries) > N_BESIDE else ""
    before = entries[0].place if entries else 0
    with ui.element("nav").classes(f"tb-nav{many}").props(f'aria-label="{words["pages"]}"'):
        for entry in entries:
            link = text(words[entry.key], "tb-link", tag="a").props(f'href="{entry.target}"')
            if entry.place // 10 != before // 10:
                link.classes("tb-starts")
            if entry.key == here:
                link.props('aria-current="page"')
            before = entry.place
    if many:  # on a telephone the row is longer than the screen
        ui.add_body_html(SHOW_CURRENT)


def _language_switch(words: dict[str, str], language: Language) -> None:
    def choose(chosen: Language) -> None:
        nicegui_app.storage.user["language"] = chosen
        ui.navigate.reload()

    with (
        ui.element("div")
        .classes("tb-segments")
        .props(f'role="group" aria-label="{words["language"]}"')
    ):
        for chosen, name in (("zh", "中文"), ("en", "EN")):
            button = text(name, tag="button").props(
                f'type="button" lang="{chosen}" aria-pressed="{str(chosen == language).lower()}"'
            )
            button.on("click", lambda _, chosen=chosen: choose(chosen))


def _theme_switch(words: dict[str, str]) -> None:
    """Goes round: as the system, light, dark; the choice is remembered."""
    user = nicegui_app.storage.user
    mode = ui.dark_mode(colours_of_visitor())

    @ui.refreshable
    def icon() -> None:
        theme = user.get("theme", "auto")
        svg(THEME_ICONS[theme], label=words[f"theme_{theme}"])

    def turn() -> None:
        names = list(THEMES)
        theme = names[(names.index(user.get("theme", "auto")) + 1) % len(names)]
        user["theme"] = theme
        mode.value = THEMES[theme]
        icon.refresh()

    with ui.element("button").classes("tb-theme").props('type="button"').on("click", turn):
        icon()
