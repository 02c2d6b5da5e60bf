"""Two bundles side by side: figures, what they mean, and what the gate said."""

from __future__ import annotations

from nicegui import ui

from tailorbird.console.bundle_facts import BundleFacts, are_rows_same, compare, outcome
from tailorbird.console.drawing import text
from tailorbird.console.frame import PATH
from tailorbird.console.markup import link, table

Pair = tuple[BundleFacts, BundleFacts]


def show_comparison(
    known: list[BundleFacts], pair: Pair, words: dict[str, str], *, may_change: bool
) -> None:
    """The choice of two among those *known*, and how they compare."""
    _choice(known, pair, words)
    show_figures(pair, words)
    candidates = [one for one in pair if may_change and not one.is_live]
    with ui.element("div").classes("tb-links"):
        for one in dict.fromkeys(one.id for one in candidates):
            target = f"{PATH}/bundles/promote?bundle={one}"
            link(f"{words['bundles_promote']} {one}", target, "tb-chip")


def show_figures(pair: Pair, words: dict[str, str]) -> None:
    """What the figures mean together, and the figures."""
    first, second = pair
    if first.id != second.id:
        _meaning(pair, words)
    names = [one.id + (f" · {words['bundles_live']}" if one.is_live else "") for one in pair]
    headings = [words["compare_figure"], *names, words["compare_difference"]]
    with table(headings, label=words["compare_heading"], kind="tb-fits"):
        for figure in compare(first, second):
            with ui.element("tr"):
                text(words[f"compare_{figure.key}"], tag="th").props('scope="row"')
                for side, value in (("first", figure.first), ("second", figure.second)):
                    text(value, "tb-better" if figure.better == side else "", tag="td")
                text(figure.difference, "tb-figures", tag="td")


def _choice(known: list[BundleFacts], pair: Pair, words: dict[str, str]) -> None:
    """A plain form: it works by keyboard, and what it shows has an address of its own."""
    form = ui.element("form").classes("tb-choice").props(f'action="{PATH}/bundles/compare"')
    with form.props('method="get"'):
        for name, chosen in zip(("first", "second"), pair, strict=True):
            with ui.element("label"):
                text(words[f"compare_{name}"], "tb-label", tag="span")
                with ui.element("select").props(f'name="{name}"'):
                    for one in known:
                        live = f" · {words['bundles_live']}" if one.is_live else ""
                        option = text(one.id + live, tag="option").props(f'value="{one.id}"')
                        if one.id == chosen.id:
                            option.props("selected")
        text(words["compare_show"], "tb-primary", tag="button").props('type="submit"')


def _meaning(pair: Pair, words: dict[str, str]) -> None:
    first, second = pair
    found = outcome(first, second)
    sentence = words[f"compare_{found}"].format(first=first.id, second=second.id)
    with ui.element("div").classes("tb-card tb-meaning").props(f'data-outcome="{found}"'):
        text(sentence, tag="p").props('data-testid="outcome"')
        if found != "unknown" and not are_rows_same(first, second):
            rows = {"first": _rows(first), "second": _rows(second)}
            text(words["compare_apart"].format(**rows), "tb-soft", tag="p")
        for one in pair:
            if one.verdict:
                heading = words["compare_verdict"].format(id=one.id)
                text(f"{heading}: {one.verdict.get('reason', '')}", "tb-soft", tag="p")


def _rows(one: BundleFacts) -> str:
    run, test = one.report.get("run") or {}, one.report.get("test") or {}
    return f"{run.get('source', '?')}, n = {test.get('n_rows', '?')}"
