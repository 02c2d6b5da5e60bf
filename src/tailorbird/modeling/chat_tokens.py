"""Conversations to token ids: for learning answers, and for answering in the very same form.

What is learned from a conversation is what the assistant says and the token that ends its turn; the
header before it is given. `ChatTokenizer.prompt` of the messages before an answer is, token by
token, what stood before that answer when it was learned: served as trained.
"""

from __future__ import annotations

import copy
import re
import shutil
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from tailorbird.errors import DataError, WeightsError
from tailorbird.modeling.chat import CHATML_MARKS, ChatTemplate, load_template
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.modeling.tokens import load_tokenizer
from tailorbird.records import Message
from tailorbird.weights import TEMPLATE_FILE

CHAT_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", TEMPLATE_FILE)
"""What a model folder needs so that conversations are written in it as they were trained."""
_BREAK = "\u200b"  # a space without width


@dataclass(frozen=True, slots=True)
class EncodedDialogue:
    """Token ids of one conversation, and which of them the assistant said."""

    token_ids: list[int]
    is_answer: list[bool]
    """True at the tokens of the assistant's turns: the content and the token that ends the turn."""
    n_dropped: int = 0
    """Messages left out at the beginning, the oldest, so that the rest fits."""
    n_cut: int = 0
    """Tokens cut out of a last exchange that was too long by itself."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """A conversation as text and tokens, and where its answers stand."""

    text: str
    token_ids: list[int]
    offsets: list[tuple[int, int]]  # of each token, in characters of the text
    answers: list[tuple[int, int]]  # of each assistant's turn, in characters of the text

    def token_at(self, character: int) -> int:
        """The first token that begins at *character* or after it."""
        return bisect_left(self.offsets, character, key=lambda offset: offset[0])

    @property
    def n_tokens(self) -> int:
        return len(self.token_ids)


class ChatTokenizer:
    """A tokenizer with the chat template of its model.

    What a person writes stays text: ``<|im_end|>`` in a message does not end its turn, as a space
    without width is put into every special token that a message contains.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        *,
        max_tokens: int,
        folder: Path | None = None,
    ) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        self.template = template
        self.max_tokens = max_tokens
        self.folder = folder
        """Where its files are; None for one that was made in memory."""
        added = tokenizer.get_added_tokens_decoder().values()
        self._specials = tuple(token.content for token in added if token.special)
        marks = {mark for mark in (*self._specials, *CHATML_MARKS) if len(mark) > 1}
        longest_first = sorted(marks, key=lambda mark: (-len(mark), mark))
        self._special_pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self.closing = self._closing()
        """What the template writes after an answer: a text to stop at where no token ends turns."""

    @property
    def facts(self) -> dict[str, Any]:
        """What makes it anew beside its files, JSON-ready."""
        return {"max_tokens": self.max_tokens}

    def cut_at(self, max_tokens: int) -> ChatTokenizer:
        """The same that cuts at *max_tokens*; this one stays as it is."""
        other = copy.copy(self)
        other.max_tokens = max_tokens
        return other

    def fit_max_tokens(self, tokens: TokenizedTexts) -> int:
        """Set *max_tokens* to cover 99.5 % of *tokens*, at least 64 and at most what it was."""
        lengths = sorted(tokens.lengths)
        covered = lengths[min(len(lengths) - 1, int(len(lengths) * 0.995))]
        self.max_tokens = min(self.max_tokens, max(64, covered))
        return self.max_tokens

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer: the one the template writes there, and the end of texts."""
        ids = self._encode([self.closing])[0][0][:1] if self.closing in self._specials else []
        end = self.tokenizer.token_to_id(self.template.special_tokens.get("eos_token", ""))
        return frozenset([*ids, *([] if end is None else [end])])

    def encode(self, messages: Sequence[Message]) -> EncodedDialogue:
        """The conversation up to its last answer, cut to *max_tokens*, and what is to be learned.

        The oldest exchanges are left out whole, never the system message. Where the last one alone
        is too long, the end of its question is cut, then that of its answer. DataError where there
        is no answer, or no room for one; WeightsError where the template refuses the conversation.
        """
        n_wanted = max((i for i, m in enumerate(messages, 1) if m.role == "assistant"), default=0)
        if not n_wanted:
            raise DataError(
                "a conversation has no assistant's turn", cure="leave it out: nothing to learn"
            )
        kept, layout, n_dropped = self._fitted(messages[:n_wanted], self.max_tokens)
        is_answer = [False] * layout.n_tokens
        for start, end in layout.answers:
            for i in range(layout.token_at(start), layout.token_at(end)):
                is_answer[i] = True
        dialogue = EncodedDialogue(layout.token_ids, is_answer, n_dropped)
        if layout.n_tokens > self.max_tokens:
            asked = self._question(layout, kept[:-1], layout.answers[-1][0])
            dialogue = _cut(dialogue, asked, self.max_tokens)
        if not any(dialogue.is_answer):
            raise DataError(
                f"no answer fits into {self.max_tokens} tokens beside its system message",
                cure="raise model.max_tokens, or shorten the system message",
            )
        return dialogue

    def prompt(self, messages: Sequence[Message], *, room: int = 0) -> list[int]:
        """Token ids that the answer to *messages* follows, cut so that *room* tokens are left.

        Cut as `encode` cuts. Raises WeightsError where the template refuses the conversation.
        """
        limit = max(1, self.max_tokens - room)
        kept, layout, _ = self._fitted(messages, limit, prompt=True)
        if layout.n_tokens <= limit:
            return layout.token_ids
        asked = self._question(layout, kept, len(layout.text))
        whole = EncodedDialogue(layout.token_ids, [False] * layout.n_tokens)
        return _cut(whole, asked, limit).token_ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of *token_ids*, without special tokens."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def stream(self, token_ids: Iterable[int]) -> Iterator[str]:
        """The text of *token_ids* piece by piece, as they come; no piece is half a character."""
        decoder = DecodeStream(skip_special_tokens=True)
        for token_id in token_ids:
            piece = decoder.step(self.tokenizer, token_id)
            if piece:
                yield piece

    def save(self, folder: Path) -> None:
        """Copy tokenizer and template unchanged; ChatML is written where the model had none."""
        if self.folder is None:
            self.tokenizer.save(str(folder / CHAT_FILES[0]))
        for name in CHAT_FILES:
            if self.folder is not None and (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)
        if self.folder is None or self.template.note:
            self.template.save(folder)

    def _fitted(
        self, messages: Sequence[Message], limit: int, *, prompt: bool = False
    ) -> tuple[Sequence[Message], _Layout, int]:
        """The newest exchanges that fit, at least one: what is kept, its layout, what is not."""
        n_lead = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
        lead, turns = messages[:n_lead], messages[n_lead:]
        n_dropped = 0
        layout = self._layout([*lead, *turns], prompt=prompt)
        while layout.n_tokens > limit:
            later = (i for i, m in enumerate(turns) if i and m.role == "user")
            n_oldest = next(later, 0)  # an exchange ends where the person speaks again
            if not n_oldest:
                break
            turns, n_dropped = turns[n_oldest:], n_dropped + n_oldest
            layout = self._layout([*lead, *turns], prompt=prompt)
        return [*lead, *turns], layout, n_dropped

    def _layout(self, messages: Sequence[Message], *, prompt: bool = False) -> _Layout:
        messages = [replace(message, content=self._plain(message.content)) for message in messages]
        text = self.template.render(messages, prompt=prompt)
        answers = [
            self._answer(text, messages, i)
            for i, message in enumerate(messages)
            if message.role == "assistant"
        ]
        ids, offsets = self._tokenised(text, [start for start, _ in answers])
        return _Layout(text, ids, offsets, answers)

    def _answer(self, text: str, messages: Sequence[Message], turn: int) -> tuple[int, int]:
        """Where the assistant's *turn* stands in the *text*: after its header, with its end."""
        before = self.template.render(messages[:turn], prompt=True)
        if not text.startswith(before):
            raise WeightsError(
                f"the chat template writes what stands before turn {turn + 1} (the assistant's)"
                " in another way when it is asked for that turn",
                cure="such a model would be served in a form it was not trained in; correct"
                f" {TEMPLATE_FILE}, or take it away for plain ChatML",
            )
        start = len(before)
        until = self.template.render(messages[: turn + 1])
        if text.startswith(until):
            end = len(until)
        else:  # templates that write an earlier answer otherwise than the last one
            content = messages[turn].content.strip()
            end = text.find(content, start)
            if end < 0:
                raise WeightsError(f"the chat template leaves out the answer of turn {turn + 1}")
            end += len(content)
            end += len(self.closing) if text.startswith(self.closing, end) else 0
        return start, self._without_line_end(text, start, end)

    def _without_line_end(self, text: str, start: int, end: int) -> int:
        """Where a special token ends the turn, the line end after it is no part of the answer."""
        stripped = text[start:end].rstrip()
        return start + len(stripped) if stripped.endswith(self._specials) else end

    def _closing(self) -> str:
        """What the template writes after an answer, seen on a small conversation."""
        asked, answer = Message("user", "Question"), Message("assistant", "Answer")
        text = self.template.render([asked, answer])
        start = len(self.template.render([asked], prompt=True))
        end = self._without_line_end(text, start, len(text))
        return text[start:end].partition(answer.content)[2]

    def _question(
        self, layout: _Layout, messages: Sequence[Message], before: int
    ) -> tuple[int, int]:
        """Tokens of the last message of the person, which stands *before* a character."""
        asked = next((m.content for m in reversed(messages) if m.role == "user"), "")
        content = self._plain(asked).strip()
        start = max(0, layout.text.rfind(content, 0, before))
        return layout.token_at(start), layout.token_at(start + len(content))

    def _tokenised(
        self, text: str, starts: Sequence[int]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids of the whole *text*, and their offsets.

        Where a token would reach across the start of an answer, or what stands before it would be
        cut otherwise without it, the text is cut there: an answer is always asked for without it.
        """
        (ids, offsets), *befores = self._encode([text, *(text[:start] for start in starts)])
        for i, (before, _) in enumerate(befores):
            if ids[: len(before)] != before:
                start = starts[i]
                left, left_offsets = self._tokenised(text[:start], starts[:i])
                later = [other - start for other in starts[i + 1 :]]
                right, right_offsets = self._tokenised(text[start:], later)
                moved = [(begin + start, end + start) for begin, end in right_offsets]
                return left + right, left_offsets + moved
        return ids, offsets

    def _encode(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        encodings = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [(encoding.ids, encoding.offsets) for encoding in encodings]

    def _plain(self, content: str) -> str:
        """*content* without special tokens of the model: they are broken, and read as text."""
        return self._special_pattern.sub(lambda it: it[0][0] + _BREAK + it[0][1:], content)


def load_chat_tokenizer(folder: Path, *, max_tokens: int) -> ChatTokenizer:
    """The tokenizer and the chat template of a model folder.

    Raises WeightsError where there is no ``tokenizer.json``, or the template is no Jinja.
    """
    tokenizer = load_tokenizer(folder, max_tokens=max_tokens).tokenizer
    return ChatTokenizer(tokenizer, load_template(folder), max_tokens=max_tokens, folder=folder)


@dataclass(frozen=True, slots=True)
class EncodedDialogues:
    """Conversations for learning the next token, in the form `TokenizedTexts.from_lists` takes."""

    token_ids: list[list[int]]
    picked: list[list[bool]]
    """True at each token that an answer's token follows: what is seen there predicts that one."""
    targets: list[int]
    """The token that follows each picked one, over all conversations, in their order."""
    n_dropped: int
    """Messages left out in all."""
    n_shortened: int
    """Conversations that something is missing of."""

    @property
    def note(self) -> str:
        """What was left out, as a sentence; empty where everything fitted."""
        if not self.n_shortened:
            return ""
        return (
            f"{self.n_shortened} of {len(self.token_ids)} conversations are longer than the model"
            f" may read; {self.n_dropped} of their oldest messages were left out"
        )


def encode_dialogues(
    tokenizer: ChatTokenizer, dialogues: Sequence[Sequence[Message]]
) -> EncodedDialogues:
    """Every conversation as `ChatTokenizer.encode` gives it, with the targets of its answers.

    Raises as `ChatTokenizer.encode` does, and says which conversation it was.
    """
    encoded: list[EncodedDialogue] = []
    for number, messages in enumerate(dialogues, 1):
        try:
            encoded.append(tokenizer.encode(messages))
        except (DataError, WeightsError) as error:
            raise type(error)(
                error.what, where=f"conversation {number}", cure=error.cure
            ) from error
    return EncodedDialogues(
        [dialogue.token_ids for dialogue in encoded],
        # The state at i predicts token i + 1; nothing follows the last token.
        [[*dialogue.is_answer[1:], False] for dialogue in encoded],
        [
            token_id
            for dialogue in encoded
            # The first token has nothing before it that could predict it.
            for token_id, is_answer in zip(
                dialogue.token_ids[1:], dialogue.is_answer[1:], strict=True
            )
            if is_answer
        ],
        sum(dialogue.n_dropped for dialogue in encoded),
        sum(dialogue.n_dropped + dialogue.n_cut > 0 for dialogue in encoded),
    )


def _cut(dialogue: EncodedDialogue, question: tuple[int, int], limit: int) -> EncodedDialogue:
    """Tokens out of the end of the *question*, then off the end, until *limit* are left."""
    start, end = question
    n_too_many = len(dialogue.token_ids) - limit
    at = max(start, end - n_too_many)
    token_ids = (dialogue.token_ids[:at] + dialogue.token_ids[end:])[:limit]
    is_answer = (dialogue.is_answer[:at] + dialogue.is_answer[end:])[:limit]
    return EncodedDialogue(token_ids, is_answer, dialogue.n_dropped, n_too_many)
