"""``tailorbird why``: a decision of the assistant, told in sentences, and the words behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tailorbird.cli import options
from tailorbird.cli.display import print_json
from tailorbird.cli.words import show_nearest, show_weights

if TYPE_CHECKING:
    from tailorbird.assistants.service_desk.conversing.attributing import Attributed
    from tailorbird.store import Workspace
    from tailorbird.store.tables import DecisionRow

NOTES = {
    "with_earlier": {
        "en": "It was read together with an earlier message.",
        "zh": "它是和前面的一条消息一起理解的。",
    },
    "part": {
        "en": "It was read together with an earlier message that is not kept: this is a part.",
        "zh": "它是和前面的一条消息一起理解的，而那条消息没有保存：这里只是其中一部分。",
    },
    "adapter": {
        "en": "Explained is the shared assistant, without the user's own adapter.",
        "zh": "这里解释的是共享助手，没有使用该用户自己的适配器。",
    },
    "nearest": {"en": "Nearest training examples:", "zh": "最接近的训练样本："},
}


def why(
    decision: Annotated[
        str, typer.Argument(help="Id of a decision, or of a conversation for its last one.")
    ],
    *,
    workspace: options.Workspace = None,
    words: Annotated[
        bool,
        typer.Option(
            "--words/--no-words", help="Load the bundle and show which words made it that intent."
        ),
    ] = True,
    intent: Annotated[str, typer.Option("--intent", help="Why it was, or was not, this one.")] = "",
    as_json: options.AsJson = False,
) -> None:
    """Say why the assistant said what it said: intent, candidates, rule, sources, bundle, adapter.

    Every answer over HTTP carries the id of its decision. The words of the message that speak for
    the intent are green, those against it red (needs 'tailorbird[explain]').

    Example: tailorbird why 0b9cf1a2-… --intent refund
    """
    from tailorbird import api
    from tailorbird.assistants.service_desk.conversing.attributing import facts_of, read_for
    from tailorbird.assistants.service_desk.conversing.audit import find_or_latest
    from tailorbird.assistants.service_desk.conversing.explaining import explain
    from tailorbird.assistants.service_desk.http.schemas import Decision

    found: Attributed | str = ""
    with api.open_workspace(workspace) as space:
        with space.engine.connect() as connection:
            row = find_or_latest(connection, decision)
            read = read_for(connection, row)
        if words:
            found = _attributed(space, row, read, intent)
    if as_json:
        told: dict[str, Any] = Decision.of(row).model_dump(mode="json")
        if words:
            told["attribution"] = (
                {"problem": found} if isinstance(found, str) else dict(facts_of(found))
            )
        print_json(told)
        return
    for sentence in explain(row):
        print(sentence)
    if isinstance(found, str):
        print(found, end="\n" if found else "")
    else:
        _show(found)


def _attributed(space: Workspace, row: DecisionRow, read: Any, intent: str) -> Attributed | str:
    """The words behind the decision by the very bundle that decided; else why there are none."""
    from tailorbird import api
    from tailorbird.assistants.service_desk.conversing.attributing import Attributed, intent_of
    from tailorbird.errors import BundleError, StoreError

    if not row.bundle_id or not read.text.strip():
        return ""
    try:
        bundle = api.current_bundle(space, row.bundle_id)
    except (StoreError, BundleError) as error:
        return str(error)
    known = intent_of(row) if intent_of(row) in bundle.labels else ""
    return Attributed(row, read, api.reasons(bundle, read.text, intent or known))


def _show(found: Attributed) -> None:
    """The text in colours, the numbers, and the training examples that are nearest."""
    from tailorbird.text import language_of

    language = language_of(found.decision.text)
    notes = []
    if found.read.is_with_earlier:
        notes.append("with_earlier" if found.read.is_whole else "part")
    if found.decision.adapter:
        notes.append("adapter")
    for name in notes:
        print(NOTES[name][language])
    reasons = found.reasons
    if reasons.words is not None:
        show_weights(reasons.words.to_json(), about=reasons.words.label)
    elif reasons.sentence:
        print(reasons.sentence)
    if reasons.nearest:
        print(NOTES["nearest"][language])
        show_nearest(reasons.nearest)
