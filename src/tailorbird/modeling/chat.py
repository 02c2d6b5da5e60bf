"""Chat templates: a conversation as the one text that a model was trained on.

Templates are Jinja programs that come with a model, so they run in a sandbox that can change
nothing, with the names that transformers gives them and no others. `ChatTemplate.render` gives what
``tokenizer.apply_chat_template(…, tokenize=False)`` gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from tailorbird.errors import WeightsError
from tailorbird.records import Message
from tailorbird.weights import TEMPLATE_FILE

_CONFIGS = ("special_tokens_map.json", "tokenizer_config.json")

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n'"
    " + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""What a model without a template gets: ChatML, the most widespread one.

Where its vocabulary has no token for the marks, they are written as text, and its own end of texts
ends a turn: something that it can write as one token.
"""
CHATML_MARKS = ("<|im_start|>", "<|im_end|>")


class ChatTemplate:
    """The Jinja *source* of a template, and the special tokens it may write.

    >>> template = ChatTemplate(CHATML)
    >>> template.render([Message("user", "Hi")], prompt=True)
    '<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n'
    """

    def __init__(
        self, source: str, special_tokens: Mapping[str, str] | None = None, *, note: str = ""
    ) -> None:
        self.source = source
        self.special_tokens = dict(special_tokens or {})
        self.note = note
        """A sentence for the user where the template is not the model's own; else empty."""
        try:
            self._compiled = _ENVIRONMENT.from_string(source)
        except TemplateError as error:
            raise WeightsError(
                f"the chat template is no Jinja that can be read ({error})",
                cure=f"correct {TEMPLATE_FILE}, or take it away for plain ChatML",
            ) from error

    def render(self, messages: Sequence[Message], *, prompt: bool = False) -> str:
        """The conversation as text; with *prompt*, the header of the answer stands at its end.

        WeightsError where the template refuses the conversation, with the template's words.
        """
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._compiled.render(
                messages=turns,
                tools=None,
                documents=None,
                add_generation_prompt=prompt,
                **self.special_tokens,
            )
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join(turn["role"] for turn in turns) or "no message"
            raise WeightsError(
                f"the chat template refuses a conversation of {roles} ({error})",
                cure="most templates want user and assistant in turn, and some no system message",
            ) from error

    def save(self, folder: Path) -> None:
        """Write the template where `load_template` and transformers look first."""
        (folder / TEMPLATE_FILE).write_text(self.source, encoding="utf-8", newline="")


def load_template(folder: Path) -> ChatTemplate:
    """The template of a model folder: its own file, else the one in ``tokenizer_config.json``.

    Without either it is ChatML, and `ChatTemplate.note` says so; the special tokens come from the
    folder in any case.
    """
    special_tokens: dict[str, str] = {}
    source: Any = None
    for name in _CONFIGS:
        if not (folder / name).is_file():
            continue
        config = _read_json(folder / name)
        special_tokens |= _special_tokens(config)
        source = config.get("chat_template") or source
    if (folder / TEMPLATE_FILE).is_file():
        source = (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    if isinstance(source, list):  # several by name: of use are those for tools
        by_name = {entry.get("name"): entry.get("template") for entry in source}
        source = by_name.get("default")
    if source:
        return ChatTemplate(str(source), special_tokens)
    note = f"{folder.name} has no chat template; conversations are written as plain ChatML"
    return ChatTemplate(_default(folder, special_tokens), special_tokens, note=note)


def _default(folder: Path, special_tokens: Mapping[str, str]) -> str:
    """ChatML, after the first token the model is used to, with an end that it has a token for."""
    source = CHATML
    words = folder / "tokenizer.json"
    is_known = words.is_file() and f'"{CHATML_MARKS[1]}"' in words.read_text(encoding="utf-8")
    if not is_known and special_tokens.get("eos_token"):
        source = source.replace("'<|im_end|>\\n'", "eos_token + '\\n'")
    config = folder / "tokenizer_config.json"
    adds_bos = config.is_file() and _read_json(config).get("add_bos_token")
    return "{{ bos_token }}" + source if adds_bos and special_tokens.get("bos_token") else source


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """``bos_token`` and its like, written as text or as an object with the text in it."""
    found = {}
    for name, value in config.items():
        content = value.get("content") if isinstance(value, Mapping) else value
        if name.endswith("_token") and isinstance(content, str):
            found[name] = content
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"is no JSON ({error})", where=str(path)) from error
    if not isinstance(content, dict):
        raise WeightsError("holds no JSON object", where=str(path))
    return content


class _Generation(Extension):
    """``{% generation %}…`` marks answers for other trainers; it writes nothing."""

    tags = {"generation"}  # noqa: RUF012  # jinja's own form

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """What stands between the tags, as if they were not there."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _PlainNamespace(Namespace):
    """A namespace without names that begin with an underscore: they lead out of the sandbox."""

    def __setitem__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a template may not set {name!r}")
        super().__setitem__(name, value)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)  # jinja's own escapes HTML


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise,
        "strftime_now": _now,
        "namespace": _PlainNamespace,
    }
    return environment


_ENVIRONMENT = _environment()
