"""The BERT family as it is on hubs: packed equals padded, for each member; the rest falls back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel

from tailorbird.config import ModelSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling import build_model, save_model
from tailorbird.modeling.backbones import load_backbone
from tailorbird.modeling.encoder import PackedEncoder
from tailorbird.modeling.families import ACTIVATIONS, FAMILIES
from tailorbird.modeling.hub_encoder import HubEncoder
from tailorbird.modeling.packing import pack
from tailorbird.modeling.tokens import load_tokenizer
from tailorbird.testing import write_tiny_backbone
from tailorbird.weights import resolve_backbone
from tailorbird.weights.checkpoint import INDEX

IDS = [[2, 7, 8, 9, 3], [2, 5, 3], [2, 11, 12, 13, 14, 15, 16, 3], [2, 3]]
QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
COMMON = {
    "vocab_size": 131,
    "hidden_size": 36,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 52,
    "max_position_embeddings": 40,
    **QUIET,
}
DISTIL = {
    "vocab_size": 131,
    "dim": 36,
    "n_layers": 3,
    "n_heads": 3,
    "hidden_dim": 52,
    "max_position_embeddings": 40,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}
MEMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", COMMON),
    "roberta": ("Roberta", COMMON | {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "xlm-roberta": ("XLMRoberta", COMMON | {"type_vocab_size": 1}),
    "camembert": ("Camembert", COMMON | {"type_vocab_size": 1}),
    "distilbert": ("DistilBert", DISTIL),
    "electra": ("Electra", COMMON | {"embedding_size": 20}),
    "electra-base": ("Electra", COMMON | {"embedding_size": 36}),
}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def make(member: str, head: str = "Model", **changes: Any) -> Any:
    """A random model of transformers, large enough in its weights that nothing is near zero."""
    name, sizes = MEMBERS[member]
    config = getattr(transformers, f"{name}Config")(**(sizes | changes))
    model = getattr(transformers, f"{name}{head}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def padded_states(model: torch.nn.Module, ids: list[list[int]] = IDS) -> Tensor:
    """(T, D) of the padded original."""
    longest, pad = max(map(len, ids)), model.config.pad_token_id
    padded = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    states = model(input_ids=padded, attention_mask=mask).last_hidden_state
    return torch.cat([states[i, : len(row)] for i, row in enumerate(ids)])


def packed(folder: Path) -> PackedEncoder:
    encoder = load_backbone(folder)
    assert isinstance(encoder, PackedEncoder)
    return encoder.eval()


def largest_error(found: Tensor, expected: Tensor) -> float:
    return (found - expected).detach().abs().max().item()


@pytest.mark.parametrize("member", MEMBERS)
def test_packed_states_equal_padded_states(member: str, tmp_path: Path) -> None:
    reference = make(member)
    reference.save_pretrained(tmp_path)
    assert largest_error(packed(tmp_path)(pack(IDS)), padded_states(reference)) < 1e-5


@pytest.mark.parametrize("member", MEMBERS)
def test_packed_gradients_equal_padded_gradients(member: str, tmp_path: Path) -> None:
    reference = make(member)
    reference.save_pretrained(tmp_path)
    ours = packed(tmp_path)
    weights = torch.randn(sum(map(len, IDS)), 36)
    (padded_states(reference) * weights).sum().backward()
    (ours(pack(IDS)) * weights).sum().backward()
    theirs = dict(reference.named_parameters())
    for name, parameter in ours.named_parameters():
        expected, found = theirs[ours.hub_name(name)].grad, parameter.grad
        assert expected is not None, name
        assert found is not None, name
        if name.endswith("key.bias"):  # softmax ignores it: the true gradient is 0
            assert found.abs().max() < 1e-4
            continue
        error = (found.to_dense() - expected).norm() / expected.norm()
        assert error < 1e-4, f"{name}: {error}"


@pytest.mark.parametrize("member", MEMBERS)
def test_saved_classifier_loads_by_from_pretrained_with_equal_states(
    member: str, tmp_path: Path
) -> None:
    source = write_tiny_backbone(tmp_path / "source")  # for its tokenizer
    make(member).save_pretrained(source)
    backbone = resolve_backbone(str(source), cache=tmp_path)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)  # as if tuned
    save_model(model, tmp_path / "saved", backbone=backbone.path)
    again, info = AutoModel.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not info["unexpected_keys"]
    assert all("pooler" in name for name in info["missing_keys"])
    assert largest_error(model.backbone(pack(IDS)), padded_states(again.eval())) < 1e-5


@pytest.mark.parametrize("member", ["roberta", "distilbert", "electra"])
def test_frozen_layers_get_no_gradient_and_tuned_ones_do(member: str, tmp_path: Path) -> None:
    make(member).save_pretrained(tmp_path)
    ours = packed(tmp_path)
    free = ours(pack(IDS))
    ours.freeze(2)
    states = ours(pack(IDS))
    states.sum().backward()
    assert torch.equal(states, free)
    tuned = {name for name, p in ours.named_parameters() if p.grad is not None}
    assert tuned
    assert all(name.startswith("layers.2.") for name in tuned)


@pytest.mark.parametrize(
    ("member", "head"),
    [
        ("bert", "ForMaskedLM"),
        ("roberta", "ForSequenceClassification"),
        ("xlm-roberta", "ForMaskedLM"),
        ("camembert", "ForTokenClassification"),
        ("distilbert", "ForMaskedLM"),
        ("electra", "ForPreTraining"),
    ],
)
def test_checkpoints_with_a_head_have_a_prefix_and_more_tensors(
    member: str, head: str, tmp_path: Path
) -> None:
    reference = make(member, head)
    reference.save_pretrained(tmp_path)
    assert any(n.startswith(FAMILIES[member].prefix) for n in load_file(weights_of(tmp_path)))
    assert largest_error(packed(tmp_path)(pack(IDS)), padded_states(reference.base_model)) < 1e-5


def weights_of(folder: Path) -> Path:
    return folder / "model.safetensors"


def test_old_names_of_norms_position_buffers_and_half_precision_are_read(tmp_path: Path) -> None:
    """As bert-base-uncased is on the hub: gamma and beta, and a buffer that is none any more."""
    reference = make("bert").half().float()
    reference.save_pretrained(tmp_path)
    old = {
        f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor.half()
        for name, tensor in load_file(weights_of(tmp_path)).items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(40)[None]
    save_file(old, weights_of(tmp_path))
    ours = packed(tmp_path)
    assert ours.words.weight.dtype is torch.float32
    assert largest_error(ours(pack(IDS)), padded_states(reference)) < 1e-5


def test_a_half_precision_checkpoint_is_saved_in_full_precision(tmp_path: Path) -> None:
    source = write_tiny_backbone(tmp_path / "source")
    make("bert").half().save_pretrained(source)
    assert json.loads((source / "config.json").read_text())["dtype"] == "float16"
    backbone = resolve_backbone(str(source), cache=tmp_path)
    model = build_model(backbone, ["a", "b"], settings=ModelSettings()).eval()
    save_model(model, tmp_path / "saved", backbone=source)
    again = AutoModel.from_pretrained(tmp_path / "saved").eval()
    assert again.dtype is torch.float32
    assert largest_error(model.backbone(pack(IDS)), padded_states(again)) < 1e-5


def test_sharded_weights_are_read_by_their_index(tmp_path: Path) -> None:
    reference = make("xlm-roberta")
    reference.save_pretrained(tmp_path, max_shard_size="20KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert largest_error(packed(tmp_path)(pack(IDS)), padded_states(reference)) < 1e-5
    shards[-1].unlink()
    with pytest.raises(WeightsError, match=rf"names {shards[-1].name}, which is not there"):
        load_backbone(tmp_path)
    (tmp_path / INDEX).write_text("[]")
    with pytest.raises(WeightsError, match="is no index of safetensors files"):
        load_backbone(tmp_path)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations_are_those_of_transformers(activation: str, tmp_path: Path) -> None:
    reference = make("bert", hidden_act=activation, num_hidden_layers=1)
    reference.save_pretrained(tmp_path)
    assert largest_error(packed(tmp_path)(pack(IDS)), padded_states(reference)) < 1e-5


OTHERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "mpnet": ("MPNet", COMMON, "no packed forward for mpnet"),
    "deberta-v2": (
        "DebertaV2",
        COMMON | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
        "no packed forward for deberta-v2",
    ),
    "albert": ("Albert", COMMON | {"embedding_size": 16}, "no packed forward for albert"),
    "decoder": ("Bert", COMMON | {"is_decoder": True}, "is_decoder is set"),
    "relu6": ("Bert", COMMON | {"hidden_act": "relu6"}, "the activation relu6"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_not_packed_runs_by_automodel_and_says_why(other: str, tmp_path: Path) -> None:
    name, sizes, why = OTHERS[other]
    config = getattr(transformers, f"{name}Config")(**sizes)
    getattr(transformers, f"{name}Model")(config).save_pretrained(tmp_path)
    ours = load_backbone(tmp_path).eval()
    assert isinstance(ours, HubEncoder)
    assert ours.reason.startswith("padded, by AutoModel (")
    assert why in ours.reason
    reference = AutoModel.from_pretrained(tmp_path).eval()
    assert largest_error(ours(pack(IDS)), padded_states(reference)) < 1e-5
    with pytest.raises(WeightsError, match="cannot be frozen one by one"):
        ours.freeze(1)


def test_modernbert_runs_by_automodel(tmp_path: Path) -> None:
    sizes = {key: COMMON[key] for key in ("vocab_size", "hidden_size", "intermediate_size")}
    ends = {f"{end}_token_id": 3 for end in ("eos", "bos", "cls", "sep")}
    config = transformers.ModernBertConfig(
        **sizes, num_hidden_layers=2, num_attention_heads=3, pad_token_id=0, **ends
    )
    transformers.ModernBertModel(config).save_pretrained(tmp_path)
    ours = load_backbone(tmp_path).eval()
    assert ours.reason == "padded, by AutoModel (no packed forward for modernbert)"
    reference = AutoModel.from_pretrained(tmp_path).eval()
    assert largest_error(ours(pack(IDS)), padded_states(reference)) < 1e-5


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_relative_positions_are_refused_because_transformers_would_ignore_them(
    tmp_path: Path,
) -> None:
    make("bert").save_pretrained(tmp_path)
    edit_config(tmp_path, position_embedding_type="relative_key")
    with pytest.raises(WeightsError, match="position_embedding_type is relative_key; absolute is"):
        load_backbone(tmp_path)


def test_body_tensors_that_automodel_would_ignore_are_named(tmp_path: Path) -> None:
    name, sizes, _ = OTHERS["mpnet"]
    config = getattr(transformers, f"{name}Config")(**sizes)
    getattr(transformers, f"{name}Model")(config).save_pretrained(tmp_path)
    state = load_file(weights_of(tmp_path))
    state["encoder.layer.0.gate.weight"] = torch.ones(2)
    save_file(state, weights_of(tmp_path), metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"has encoder\.layer\.0\.gate\.weight, which AutoModel"):
        load_backbone(tmp_path)
    del state["encoder.layer.0.gate.weight"], state["encoder.layer.1.attention.attn.q.weight"]
    save_file(state, weights_of(tmp_path), metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"attn\.q\.weight, which would be random"):
        load_backbone(tmp_path)


def test_an_architecture_that_transformers_does_not_know_is_a_sentence(tmp_path: Path) -> None:
    make("bert").save_pretrained(tmp_path)
    edit_config(tmp_path, model_type="novel")
    with pytest.raises(WeightsError, match=r"cannot be loaded by AutoModel \(.*novel.*; use a"):
        load_backbone(tmp_path)


def test_weights_of_another_size_than_the_config_are_refused(tmp_path: Path) -> None:
    make("bert").save_pretrained(tmp_path)
    edit_config(tmp_path, vocab_size=130)
    with pytest.raises(WeightsError, match=r"is 131 × 36, by config\.json 130 × 36; weights"):
        load_backbone(tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    make("bert").save_pretrained(tmp_path)
    weights_of(tmp_path).write_bytes(weights_of(tmp_path).read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"model\.safetensors: cannot be read"):
        load_backbone(tmp_path)


def test_a_folder_with_pickled_weights_alone_says_how_to_convert_them(tmp_path: Path) -> None:
    reference = make("roberta")
    reference.config.save_pretrained(tmp_path)
    torch.save(reference.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="never loaded: convert them with AutoModel"):
        load_backbone(tmp_path)


@pytest.mark.parametrize(
    ("member", "longest"), [("bert", 512), ("roberta", 512), ("distilbert", 512), ("electra", 512)]
)
def test_the_longest_text_leaves_out_rows_before_the_first_position(
    member: str, longest: int, tmp_path: Path
) -> None:
    n_positions = 514 if member == "roberta" else 512
    reference = make(member, max_position_embeddings=n_positions)
    reference.save_pretrained(tmp_path)
    ours = packed(tmp_path)
    assert ours.max_positions == longest
    ids = [[2] + [9] * (longest - 2) + [3]]
    assert largest_error(ours(pack(ids)), padded_states(reference, ids)) < 1e-5


@pytest.mark.parametrize(
    "files", [("vocab.json", "merges.txt"), ("sentencepiece.bpe.model",), ("vocab.txt",)]
)
def test_a_slow_tokenizer_alone_is_told_how_to_become_a_fast_one(
    files: tuple[str, ...], tmp_path: Path
) -> None:
    make("roberta").save_pretrained(tmp_path)
    for name in files:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(WeightsError, match=r"has no tokenizer\.json; .*save_pretrained\(FOLDER\)"):
        resolve_backbone(str(tmp_path), cache=tmp_path)
    with pytest.raises(WeightsError, match=r"has no tokenizer\.json; save the model's fast"):
        load_tokenizer(tmp_path, max_tokens=10)
