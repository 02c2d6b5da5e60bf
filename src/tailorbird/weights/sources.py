"""Where a backbone comes from: a folder or file the user names, a package that ships it, or a hub.

>>> choose_backbone(["我的包裹到哪了", "where is my parcel"])
('e5', 'backbone: multilingual-e5-small (32 % of the characters are Chinese)')
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tailorbird.errors import WeightsError
from tailorbird.text import han_fraction
from tailorbird.weights.checkpoint import HOW_TO_CONVERT, holds_pickles_only
from tailorbird.weights.embedded import EMBEDDED, embedded_folder
from tailorbird.weights.gguf_folder import gguf_folder

NOTICEABLE_HAN = 0.002
"""Share of Chinese characters from which logs count as bilingual: about one row in a hundred,
as a Chinese sentence has a fifth of the letters of an English one."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_POOLING_FILE = "1_Pooling/config.json"
_POOLINGS = {"mean_tokens": "mean", "cls_token": "cls", "mean": "mean", "cls": "cls"}
_NEEDED = ("config.json", "tokenizer.json")
_CURE = "a backbone folder holds config.json, model.safetensors and tokenizer.json"
_CURES = {
    "tokenizer.json": "; where there is a vocabulary, merges or a sentencepiece model alone,"
    " AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes it",
}


@dataclass(frozen=True, slots=True)
class BackboneFolder:
    """A pretrained model on disk, in hub form."""

    path: Path
    """Holds config.json, safetensors and tokenizer.json."""
    name: str
    family: str
    """The architecture, as ``model_type`` of its config: ``bert``, ``xlm-roberta``, …"""
    query_prefix: str = ""
    """Put before every text, as the model was trained."""
    licence: str = ""
    """As its source states it; empty where that is not known."""
    pooling: str = ""
    """How it was trained to make one vector of a text, ``mean`` or ``cls``; empty: not known."""
    passage_prefix: str = ""
    """Put before texts that are searched, where those are told from queries."""


def choose_backbone(texts: Iterable[str]) -> tuple[str, str]:
    """The name of the embedded model for the language of *texts*, and the reason as a sentence.

    >>> choose_backbone(["where is my parcel"])
    ('minilm', 'backbone: all-MiniLM-L6-v2 (no Chinese characters)')
    """
    share = han_fraction(texts)
    name = "e5" if share >= NOTICEABLE_HAN else "minilm"
    if share == 0:
        reason = "no Chinese characters"
    else:
        percent = (
            f"{share:.0%}" if share >= 0.01 else f"{share:.1%}" if share >= 0.001 else "< 0.1%"
        )
        reason = f"{percent.replace('%', ' %')} of the characters are Chinese"
    return name, f"backbone: {EMBEDDED[name].model} ({reason})"


def choose_language_model(texts: Iterable[str]) -> tuple[str, str]:
    """The name of the embedded chat model for the language of *texts*, and the reason.

    SmolLM2 speaks English alone: for Chinese it is Gemma 3, where it was installed by name, as its
    licence wants. Without it SmolLM2 is taken all the same, and the reason says what that means.

    >>> choose_language_model(["where is my parcel"])
    ('smollm2', 'backbone: SmolLM2-135M-Instruct (no Chinese characters)')
    """
    share, gemma = han_fraction(texts), EMBEDDED["gemma3-270m"]
    if share < NOTICEABLE_HAN:
        reason = "hardly any Chinese characters" if share else "no Chinese characters"
        return "smollm2", f"backbone: {EMBEDDED['smollm2'].model} ({reason})"
    if gemma.is_installed:
        return gemma.name, f"backbone: {gemma.model} ({share:.0%} of the characters are Chinese)"
    return "smollm2", (
        f"backbone: {EMBEDDED['smollm2'].model}, whose Chinese is of no use ({share:.0%} of the "
        f"characters are): run tailorbird weights install {gemma.name}, or name a --backbone"
    )


def download_from_hub(name: str) -> Path:
    """The folder of a hub model: what an earlier download left, else fetched now."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted: dict[str, Any] = {
        "allow_patterns": ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"],
        "ignore_patterns": ["[!1]*/*"],  # other formats of the same weights live in folders
    }
    try:
        folder = Path(snapshot_download(name, local_files_only=True, **wanted))
        if _missing(folder) == "":
            return folder
    except LocalEntryNotFoundError:
        pass  # never downloaded
    return Path(snapshot_download(name, **wanted))


def resolve_backbone(
    name: str,
    *,
    cache: Path,
    download: Callable[[str], Path] = download_from_hub,
    say: Callable[[str], None] = lambda _: None,
) -> BackboneFolder:
    """A folder with the pretrained model *name*.

    Args:
        name: of an embedded model (``minilm``, ``e5``, ``smollm2``, …), a folder in hub form, a
            ``.gguf`` file, or a hub name such as ``owner/model``.
        cache: where embedded models and GGUF files are unpacked.
        download: gives the folder of a hub name.
        say: gets a sentence where something is unpacked, which takes its time once.

    Raises WeightsError where the weights are missing, altered or cannot be fetched, and
    MissingExtraError where GGUF is to be read without the extra ``causal``.
    """
    embedded = EMBEDDED.get(name)
    if embedded is not None and (embedded.is_installable or embedded.is_installed):
        folder = embedded_folder(embedded, cache, say=say)
        return BackboneFolder(
            folder,
            embedded.model,
            str(_config(folder).get("model_type", "")),
            embedded.query_prefix,
            embedded.licence,
            pooling="mean" if embedded.kind == "encoder" else "",  # all encoders were trained so
            passage_prefix=_passage_prefix(folder, embedded.query_prefix),
        )
    if embedded is not None:  # its package does not exist for this machine
        return _from_hub(embedded.hub_name, download)
    path = Path(name).expanduser()
    if path.is_dir():
        return _described(path, path.resolve().name)
    if path.suffix == ".gguf":
        return _described(gguf_folder(path, cache, say=say), path.stem)
    if _HUB_NAME.fullmatch(name) and not name.startswith("."):
        return _from_hub(name, download)
    raise WeightsError(
        f"{name!r} is neither an embedded model, a folder, nor a hub name",
        cure=f"use one of {', '.join(EMBEDDED)}, a folder or .gguf file that is there, or"
        " owner/model",
    )


def _from_hub(name: str, download: Callable[[str], Path]) -> BackboneFolder:
    try:
        folder = download(name)
    except (OSError, ValueError) as error:  # huggingface_hub's own errors are these
        cause = str(error).strip().splitlines()
        raise WeightsError(
            f"hub model {name!r} cannot be fetched ({cause[0] if cause else type(error).__name__})",
            cure="check the name and the network (HF_HUB_OFFLINE, HF_ENDPOINT), download it"
            " elsewhere and name its folder, or use minilm or e5",
        ) from error
    return _described(folder, name)


def _described(folder: Path, name: str) -> BackboneFolder:
    missing = _missing(folder)
    if missing:
        is_pickled = "safetensors" in missing and holds_pickles_only(folder)
        raise WeightsError(
            f"has no {missing}",
            where=str(folder),
            cure=HOW_TO_CONVERT if is_pickled else _CURE + _CURES.get(missing, ""),
        )
    has_source = (folder / "source.json").is_file()
    source = _read_json(folder / "source.json") if has_source else _own_facts(folder)
    query_prefix = source.get("query_prefix", _query_prefix(folder, name))
    return BackboneFolder(
        folder,
        str(source.get("model", name)),
        str(_config(folder).get("model_type", "")),
        query_prefix,
        source.get("licence", _licence(folder)),
        source.get("pooling", _pooling(folder)),
        source.get("passage_prefix", _passage_prefix(folder, query_prefix)),
    )


def _own_facts(folder: Path) -> dict[str, Any]:
    """What a model that was tuned here says of itself, for it to be tuned further as it was."""
    path = folder / "model.json"
    facts = _read_json(path) if path.is_file() else {}
    names = {"prefix": "query_prefix", "passage_prefix": "passage_prefix", "pooling": "pooling"}
    found = {ours: facts[theirs] for theirs, ours in names.items() if theirs in facts}
    if found.get("pooling") not in _POOLINGS.values():  # single tokens were looked at
        found.pop("pooling", None)
    return found


def _missing(folder: Path) -> str:
    """What a hub-style folder lacks; empty where it is complete."""
    for name in _NEEDED:
        if not (folder / name).is_file():
            return name
    return "" if any(folder.glob("*.safetensors")) else "*.safetensors"


def _query_prefix(folder: Path, name: str) -> str:
    """From sentence-transformers' own prompts, else from the name of the E5 family."""
    prompt = _prompts(folder).get("query")
    if prompt:
        return str(prompt)
    is_e5 = re.search(r"(^|[^a-z0-9])e5([^a-z0-9]|$)", name.lower()) is not None
    return "query: " if is_e5 and "instruct" not in name.lower() else ""


def _passage_prefix(folder: Path, query_prefix: str) -> str:
    """The same of texts that are searched; E5 alone has one where no prompts are kept."""
    prompts = _prompts(folder)
    found = next((prompts[name] for name in ("passage", "document") if prompts.get(name)), "")
    return str(found) or ("passage: " if query_prefix == "query: " else "")


def _prompts(folder: Path) -> dict[str, Any]:
    path = folder / "config_sentence_transformers.json"
    return (_read_json(path).get("prompts") or {}) if path.is_file() else {}


def _pooling(folder: Path) -> str:
    """As sentence-transformers keeps it; empty where it does not, or pools in another way."""
    path = folder / _POOLING_FILE
    modes = _read_json(path) if path.is_file() else {}
    named = str(modes.get("pooling_mode", ""))
    found = {named} | {mode for mode in _POOLINGS if modes.get(f"pooling_mode_{mode}")}
    known = {_POOLINGS[mode] for mode in found if mode in _POOLINGS}
    return known.pop() if len(known) == 1 else ""


def _licence(folder: Path) -> str:
    """The ``license:`` line at the top of the model card, where there is one."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    head = card.read_text(encoding="utf-8", errors="replace")[:4000]
    found = re.search(r"^license:\s*(\S+)\s*$", head, flags=re.MULTILINE)
    return found[1] if found else ""


def _config(folder: Path) -> dict[str, Any]:
    return _read_json(folder / "config.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot be read ({error})", where=str(path)) from error
    if not isinstance(content, dict):
        raise WeightsError("holds no JSON object", where=str(path))
    return content
