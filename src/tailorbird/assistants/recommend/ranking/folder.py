"""A model as a folder: JSON, safetensors, LightGBM's text, and a manifest with every sha256."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from scipy import sparse

from tailorbird.assistants.recommend.catalogue.log import Places, RatingScale
from tailorbird.assistants.recommend.ranking.content import Content
from tailorbird.assistants.recommend.ranking.match import InterestEnsemble, InterestModel
from tailorbird.assistants.recommend.ranking.near import Near
from tailorbird.assistants.recommend.ranking.parts import Catalogue, Parts
from tailorbird.assistants.recommend.ranking.popularity import Popularity
from tailorbird.assistants.recommend.ranking.ranker import Ranker, Start
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings
from tailorbird.assistants.recommend.ranking.together import Als, AlsSettings, Knn
from tailorbird.errors import BundleError, CorruptBundleError
from tailorbird.store import files

if TYPE_CHECKING:
    from tailorbird.assistants.recommend.ranking.model import RecommendModel

FORMAT = "tailorbird-recommender/3"
MANIFEST = "manifest.json"
MODEL, ARRAYS, MATCH, TREES = "model.json", "arrays.safetensors", "match.safetensors", "ranker.txt"
NEAR = ("near_item", "near_weight", "near_cosine")
_MEND = "fit it again: tailorbird recommend fit"


def id_of(model: RecommendModel) -> str:
    """16 hex digits that depend on nothing but the bytes of the files."""
    return _id({name: _digest(data) for name, data in _files(model).items()})


def write_folder(model: RecommendModel, folder: Path) -> str:
    """Put the files of *model* into *folder* and return its id.

    They are written beside it first: whatever interrupts that, the old folder is still whole.
    """
    contents = _files(model)
    digests = {name: _digest(data) for name, data in contents.items()}
    manifest = {"format": FORMAT, "id": _id(digests), "files": digests}
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for name, data in contents.items():
        files.write_atomically(fresh / name, data)
    files.write_atomically(fresh / MANIFEST, files.to_json_bytes(manifest, where=MANIFEST))
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return _id(digests)


def read_folder(folder: Path) -> tuple[dict[str, Any], str]:
    """What `RecommendModel` is made of, and the backbone that read its items.

    Raises CorruptBundleError where a file is missing, altered or too much.
    """
    contents = _checked(folder)
    facts = json.loads(contents[MODEL])
    arrays = load_arrays(contents[ARRAYS])
    content = Content.from_json(facts["content"])
    settings = RecommendSettings(**facts["settings"])
    interest = None
    if MATCH in contents:
        interest = _interest(load_arrays(contents[MATCH]), settings, content)
    n = len(facts["items"])
    neighbours = tuple(arrays[f"knn_{part}"] for part in ("data", "indices", "indptr"))
    parts = Parts(
        Catalogue(arrays["features"], arrays["tags"], arrays["numbers"], len(content.text_mean)),
        interest,
        arrays["vectors"],
        Als(arrays["als"], AlsSettings(**facts["als"])),
        Knn(sparse.csr_matrix(neighbours, shape=(n, n))),
        Popularity(*(arrays[name] for name in ("total", "recent", "liking", "first"))),
        Near(*(arrays[name] for name in NEAR)) if interest is not None else None,
        float(facts["taste"]),
    )
    found = {
        "settings": settings,
        "content": content,
        "places": Places(facts["items"]),
        "tags": [tuple(tags) for tags in facts["tags"]],
        "scale": RatingScale(**facts["scale"]),
        "parts": parts,
        "ranker": Ranker(
            contents[TREES].decode("utf-8"), facts["features"], Start(**facts["start"])
        ),
        "decisions": tuple(facts["decisions"]),
    }
    return found, str(facts["encoder"])


def _files(model: RecommendModel) -> dict[str, bytes]:
    parts, p = model.parts, model.parts.popularity
    facts = {
        "settings": asdict(model.settings),
        "content": model.content.to_json(),
        "scale": asdict(model.scale),
        "als": asdict(parts.als.settings),
        "taste": parts.taste,
        "features": model.ranker.names,
        "start": asdict(model.ranker.start),
        "encoder": model.encoder.name,
        "decisions": list(model.decisions),
        "items": model.places.ids,
        "tags": [list(tags) for tags in model.tags],
    }
    knn = parts.knn.neighbours
    arrays = {
        "features": parts.catalogue.features,
        "tags": parts.catalogue.tags,
        "numbers": parts.catalogue.numbers,
        "vectors": parts.vectors,
        "als": parts.als.items,
        "knn_data": knn.data,
        "knn_indices": knn.indices,
        "knn_indptr": knn.indptr,
        "total": p.total,
        "recent": p.recent,
        "liking": p.liking,
        "first": p.first,
    }
    if parts.near is not None:
        arrays |= dict(
            zip(NEAR, (parts.near.item, parts.near.weight, parts.near.cosine), strict=True)
        )
    contents = {
        MODEL: files.to_json_bytes(facts, where=MODEL),
        ARRAYS: save_arrays({name: np.ascontiguousarray(a) for name, a in arrays.items()}),
        TREES: model.ranker.text.encode("utf-8"),
    }
    if parts.interest is not None:
        state = parts.interest.state_dict()
        contents[MATCH] = save_arrays({name: tensor.numpy() for name, tensor in state.items()})
    return contents


def _interest(
    state: Mapping[str, np.ndarray], settings: RecommendSettings, content: Content
) -> InterestEnsemble:
    import torch

    members = sorted({name.split(".")[1] for name in state})
    n_items = len(state["members.0.own"])
    interest = InterestEnsemble(
        InterestModel(content.n_features, n_items, width=settings.width) for _ in members
    )
    interest.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in state.items()})
    return interest.eval()


def _checked(folder: Path) -> dict[str, bytes]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        kind, stated, digests = manifest["format"], manifest["id"], dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptBundleError(
            f"holds no recommender that can be read ({type(error).__name__})",
            where=str(path),
            cure=_MEND,
        ) from error
    if kind != FORMAT:
        raise BundleError(
            f"has format {kind!r}, this version reads {FORMAT!r}", where=str(path), cure=_MEND
        )
    found = {one.name for one in folder.iterdir()} - {MANIFEST}
    if found != set(digests) or not {MODEL, ARRAYS, TREES} <= found <= {
        MODEL,
        ARRAYS,
        TREES,
        MATCH,
    }:
        odd = ", ".join(sorted(found ^ set(digests))) or "a wrong set of files"
        raise CorruptBundleError(
            f"the manifest and the folder differ: {odd}", where=str(folder), cure=_MEND
        )
    contents = {name: (folder / name).read_bytes() for name in sorted(found)}
    for name, data in contents.items():
        if _digest(data) != digests[name]:
            raise CorruptBundleError(
                "was altered: its sha256 differs from the manifest",
                where=str(folder / name),
                cure=_MEND,
            )
    if _id(digests) != stated:
        raise CorruptBundleError("states a wrong id", where=str(path), cure=_MEND)
    return contents


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _id(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]
