"""Settings: small, frozen, documented at the field; from TOML files and command-line overrides.

>>> load_settings(overrides=["tuning.n_epochs=2"]).tuning.n_epochs
2
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from tailorbird.assistant_settings import DeskSettings, ListSettings, OpinionSettings
from tailorbird.errors import ConfigError
from tailorbird.overriding import parse_literal, setting, with_table


@dataclass(frozen=True, slots=True)
class ReadingSettings:
    """How logs become interactions."""

    text: str = setting("", "Column with the person's words; empty: guessed from common names.")
    label: str = setting("", "Column with the intent; empty: guessed.")
    user: str = setting("", "Column with the user; empty: guessed.")
    time: str = setting("", "Column with the time; empty: guessed.")
    reply: str = setting("", "Column with the answer; empty: guessed.")
    roles: str = setting("", "Foreign role names, as 'bot=assistant,customer=user'.")
    table: str = setting("", "Table to read where the source is a database URL.")
    encoding: str = setting("", "Text encoding; empty: UTF-8, else detected.")
    max_reject_fraction: float = setting(0.2, "Share of bad rows above which reading stops.")


@dataclass(frozen=True, slots=True)
class CleaningSettings:
    """What cleaning changes and drops."""

    strip_markup: bool = setting(True, "Remove HTML tags, entities and boilerplate lines.")
    normalize_width: bool = setting(True, "Unicode NFC, full-width letters and digits to half.")
    mask_pii: bool = setting(True, "Replace e-mails, phones, identity and card numbers.")
    drop_duplicates: bool = setting(True, "Drop rows whose text and label were seen before.")
    near_duplicate: float = setting(
        0.9, "Similarity in [0, 1] from which rows are near duplicates; 0 turns the step off."
    )
    min_chars: int = setting(1, "Shorter texts are dropped.")
    max_chars: int = setting(4000, "Longer texts are cut here.")


@dataclass(frozen=True, slots=True)
class LabellingSettings:
    """Where labels come from when the logs have none, or not all."""

    labels: str = setting("", "CSV or JSONL file that maps ids or texts to labels.")
    rules: str = setting("", "TOML file of [[rule]] tables: keywords or a regex, and an intent.")


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """How examples are divided."""

    by: Literal["random", "user", "time"] = setting("random", "What a split keeps together.")
    ratio: tuple[int, int, int] = setting((7, 2, 1), "Train, validation and test parts.")
    min_rows_per_label: int = setting(3, "Labels with fewer rows are left out and named.")
    near_duplicate: float = setting(
        0.9, "Near duplicates above this are kept in one split; 0 turns it off."
    )
    out_of_scope: str = setting(
        "oos,out_of_scope",
        "Labels, separated by commas, of logged texts that no intent fits: they become no class, "
        "and teach what to turn away. A label as other or 其他 may be an intent, so it is to be "
        "named here.",
    )
    seed: int = setting(0, "Seed of the shuffle.")


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What is learned of a row; a build of an assistant learns one label."""

    name: str = setting("single_label", "A task; ``tailorbird fit --help`` names them.")
    plugin: str = setting("", "Python file with a task, head, loss or method of one's own.")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which pretrained model, and how much of it is tuned."""

    backbone: str = setting("auto", "auto, minilm, e5, a folder, or a hub name.")
    max_tokens: int = setting(0, "Longest input in tokens; 0: from the data, at most 256.")
    freeze_layers: int | Literal["default", "auto"] = setting(
        "default",
        "Lowest layers left as pretrained; default: by model; auto: as many as cost no score.",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = setting(
        "auto",
        "Type of products when the tuned model is asked, to be measured and to answer; auto: as it "
        "is tuned. float32 is taken where a processor only emulates bfloat16.",
    )
    pooling: Literal["auto", "mean", "cls"] = setting(
        "auto", "How token states become one vector; auto: as the backbone was trained, else mean."
    )
    dropout: float = setting(0.1, "Dropout before the head.")
    encoder_dropout: float = setting(0.0, "Dropout inside the layers that are tuned.")
    init_head: Literal["features", "random"] = setting(
        "features", "features: the head starts as a linear discriminant of pretrained features."
    )
    trunk_cache_mb: int = setting(1024, "Memory for states of frozen layers, which never change.")
    trunk_file_mb: int = setting(
        4096, "Disk for them, for all runs of a workspace together; 0: no files."
    )


@dataclass(frozen=True, slots=True)
class MethodSettings:
    """The way of tuning: which weights move, and what is added to them."""

    name: str = setting(
        "auto",
        "full moves every weight that is not frozen; head, bitfit, lora, adalora, bottleneck, "
        "prefix and prompt move few; auto: lora for language models, else full.",
    )
    rank: int = setting(8, "Rank of LoRA; of AdaLoRA the mean rank at the end.")
    alpha: float = setting(16.0, "LoRA and AdaLoRA are scaled by alpha / rank.")
    dropout: float = setting(0.0, "Dropout before LoRA and AdaLoRA, and inside bottlenecks.")
    targets: str = setting(
        "", "Linear layers with (Ada)LoRA, as 'query,value'; empty: all of a layer."
    )
    rslora: bool = setting(False, "LoRA: scale by alpha / sqrt(rank), for high ranks.")
    dora: bool = setting(False, "LoRA: tune the length of each weight row beside its direction.")
    start_rank: int = setting(12, "AdaLoRA: rank of every layer before the budget falls.")
    orthogonality: float = setting(0.5, "AdaLoRA: weight of the penalty on skewed factors.")
    width: int = setting(64, "Inner width of bottleneck adapters.")
    placement: Literal["houlsby", "pfeiffer"] = setting(
        "pfeiffer", "Bottlenecks after attention and feed-forward (houlsby) or the latter alone."
    )
    n_prefix: int = setting(16, "Rows that prefix-tuning and prompt-tuning put before each text.")


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """The optimisation; a 0 means: choose by method and model, and print why."""

    n_epochs: int = setting(0, "Passes over the training rows; 0: by the number of rows.")
    batch_size: int = setting(0, "Rows per optimizer update; 0: by the number of rows.")
    batch_tokens: int = setting(
        0, "Tokens per optimizer update, about, in place of a number of rows; 0: by rows."
    )
    learning_rate: float = setting(0.0, "Peak rate; 0: by backbone.")
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt"] = setting(
        "linear", "Shape after warm-up."
    )
    warmup_fraction: float = setting(0.1, "Share of the steps with a rising rate.")
    micro_batch_tokens: int = setting(
        0, "Tokens computed at once; gradients add up to the whole batch's. 0: the whole batch."
    )
    recompute: bool = setting(
        False, "Compute layers twice rather than keep what they made: less memory, more time."
    )
    patience: int = setting(2, "Validations without gain before stopping; 0: never stop early.")
    validations_per_epoch: int = setting(1, "How often validation is measured.")
    dtype: Literal["auto", "float32", "bfloat16"] = setting("auto", "auto: timed at the start.")
    seed: int = setting(0, "Seed of shuffling, dropout and new weights.")


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """How gradients become new weights, and which weights are kept."""

    name: Literal["adamw", "adam", "sgd", "adafactor"] = setting("adamw", "The rule of an update.")
    weight_decay: float = setting(
        0.01, "Decay of matrices (not biases or norms); adam and sgd add it to the gradient (L2)."
    )
    momentum: float = setting(0.9, "Share of the last direction that sgd keeps.")
    beta1: float = setting(0.9, "How long adamw and adam remember gradients.")
    beta2: float = setting(0.999, "How long adamw and adam remember squared gradients.")
    epsilon: float = setting(1e-8, "Added to the root of the squared gradients.")
    layer_decay: float = setting(
        1.0, "Factor of the rate from each layer to the one below; 1: all layers alike."
    )
    max_grad_norm: float = setting(1.0, "Gradients are clipped to this norm; 0: not.")
    average: Literal["none", "ema", "swa"] = setting(
        "none", "Weights to validate and keep: the last, a moving average, or a plain mean."
    )
    ema_decay: float = setting(0.999, "How much of itself the moving average keeps a step.")
    swa_start: float = setting(0.75, "Share of the run after which the plain mean begins.")
    soup: int = setting(
        1, "Models of different seeds, whose mean is kept if it wins on validation; 1: one model."
    )


@dataclass(frozen=True, slots=True)
class LossSettings:
    """What tuning makes small."""

    name: str = setting("auto", "Loss of a row, by its name in the task; auto: the task's own.")
    label_smoothing: float = setting(0.0, "Mass given to the other classes, in [0, 1).")
    class_weights: Literal["none", "balanced"] = setting(
        "none", "balanced: rare labels count as much as frequent ones."
    )
    focal_gamma: float = setting(2.0, "How little focal counts rows that are already right.")
    r_drop: float = setting(
        0.0, "Weight of the divergence between two passes with other dropout; 0: one pass."
    )
    contrastive: float = setting(
        0.0, "Weight of supervised contrast between the texts of a batch; 0: none."
    )
    temperature: float = setting(
        0.0, "Temperature of contrasts; 0: 0.1 between classes, 0.05 between queries and passages."
    )
    margin: float = setting(1.0, "By how much the better candidate should win (ranking, margin).")


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What the report measures."""

    n_bootstrap: int = setting(1000, "Resamples behind each interval.")
    confidence: float = setting(0.95, "Coverage of the intervals.")
    false_alarm_rate: float = setting(
        0.05, "Share of in-scope texts that the out-of-scope threshold may turn away."
    )
    scope: Literal["features", "confidence"] = setting(
        "features",
        "What says that a text is out of scope: a score of what the network sees in it, fitted on "
        "validation rows, or the confidence alone.",
    )
    scope_rows: int = setting(
        10_000, "Training rows that the score learns the classes' means from; of more, a sample."
    )
    baselines: bool = setting(True, "Measure majority and TF-IDF + logistic regression too.")
    seed: int = setting(0, "Seed of the resamples.")


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """How the assistant is served."""

    host: str = setting("127.0.0.1", "Address to listen on; others than localhost need a key.")
    port: int = setting(8420, "Port to listen on.")
    api_key: str = setting("", "Key that clients send as 'Authorization: Bearer KEY'.")
    max_texts: int = setting(256, "Texts in one request.")
    max_text_chars: int = setting(8000, "Characters in one text.")
    max_body_bytes: int = setting(1_000_000, "Bytes in one request body.")
    max_batch_texts: int = setting(64, "Texts answered in one forward pass.")
    max_wait_ms: float = setting(4.0, "How long the first of a batch waits for others.")
    max_queue_texts: int = setting(2048, "Texts waiting before new ones get a 503.")
    keep_interactions: bool = setting(True, "Store what was served (PII masked) for learning.")
    adapters_mb: int = setting(
        1024, "Memory for users' adapters; those used longest ago leave it. 0: serve none."
    )
    public_chat: bool = setting(
        False, "Where there are keys: visitors may chat (conversations, feedback) without one."
    )


@dataclass(frozen=True, slots=True)
class ComputingSettings:
    """Where a service computes."""

    process: Literal["auto", "on", "off"] = setting(
        "auto",
        "Models answer in a process of their own, which never waits for requests; auto: where "
        "there are two processors or more, and no Windows.",
    )
    threads: int = setting(
        0,
        "Threads of a product in that process, where many texts come at once; few take one less. "
        "0: one for each processor.",
    )


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may use a service that has keys, from which pages, and how much."""

    origins: str = setting(
        "",
        "Sites whose pages may show the chat widget, as 'https://shop.example,https://m.shop.example'.",
    )
    session_hours: float = setting(12.0, "How long a browser that has shown a key stays signed in.")
    key_per_minute: int = setting(6000, "Requests a minute with one key; 0: no limit.")
    visitor_per_minute: int = setting(
        240, "Requests a minute from one address without a key; 0: no limit."
    )
    wrong_keys_per_minute: int = setting(
        10, "Wrong keys a minute from one address; above it right ones wait as well. 0: no limit."
    )


@dataclass(frozen=True, slots=True)
class PersonaliseSettings:
    """How what a user gets is made, and how it is proven."""

    ratio: tuple[int, int, int] = setting(
        (5, 3, 2), "Of each user's rows the earlier train, later ones validate, the latest test."
    )
    max_rows: int = setting(1000, "Newest rows of a user that are used; older ones are left out.")
    confidence: float = setting(
        0.0,
        "How probable a gain must be before a user leaves what all gain most by, in [0.5, 1); 0: "
        "chosen on validation rows, from 0.5 to 0.95.",
    )
    adapter: Literal["head", "lora"] = setting(
        "head",
        "A user's adapter: head is a head fitted in closed form to cached features, all users at "
        "once; lora is a job each, tuned as [method] and [tuning] say.",
    )
    n_similar: int = setting(
        10, "Users whose adapters are mixed for one whose rows are too few for an own one; 0: none."
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a build, one section a stage."""

    reading: ReadingSettings = field(default_factory=ReadingSettings)
    cleaning: CleaningSettings = field(default_factory=CleaningSettings)
    labelling: LabellingSettings = field(default_factory=LabellingSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    task: TaskSettings = field(default_factory=TaskSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    method: MethodSettings = field(default_factory=MethodSettings)
    tuning: TuningSettings = field(default_factory=TuningSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    serving: ServingSettings = field(default_factory=ServingSettings)
    computing: ComputingSettings = field(default_factory=ComputingSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    personalise: PersonaliseSettings = field(default_factory=PersonaliseSettings)
    desk: DeskSettings = field(default_factory=DeskSettings)
    opinion: OpinionSettings = field(default_factory=OpinionSettings)
    recommend: ListSettings = field(default_factory=ListSettings)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; `settings_from` reads it back."""
        return asdict(self)


MOVED = {
    "tuning.weight_decay": "optimizer.weight_decay",
    "tuning.max_grad_norm": "optimizer.max_grad_norm",
    "tuning.label_smoothing": "loss.label_smoothing",
}
"""Settings that had another name before, and where they are now."""


def load_settings(path: str | Path | None = None, *, overrides: Iterable[str] = ()) -> Settings:
    """Read a TOML file (every key optional) and apply ``section.key=value`` *overrides*.

    Raises ConfigError that names the nearest key where one is unknown.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot be read ({error.strerror})", where=str(path)) from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"is not TOML: {error}", where=str(path)) from error
    return override_settings(settings_from(table, where=str(path or "")), overrides)


def override_settings(settings: Settings, overrides: Iterable[str]) -> Settings:
    """*settings* with each ``section.key=value`` of *overrides* applied in turn."""
    for override in overrides:
        dotted, equals, raw = override.partition("=")
        section, dot, key = dotted.strip().partition(".")
        if not equals or not dot:
            raise ConfigError(
                f"{override!r} is not of the form section.key=value", cure="as tuning.n_epochs=3"
            )
        table = {section: {key: parse_literal(raw.strip())}}
        settings = with_table(settings, table, where=override, moved=MOVED)
    return settings


def settings_from(table: Mapping[str, Any], *, where: str = "") -> Settings:
    """Settings from a nested mapping, as TOML or `Settings.to_json` gives it."""
    return with_table(Settings(), table, where=where, moved=MOVED)


def describe_settings(kind: type[Any] = Settings) -> dict[str, tuple[Any, str]]:
    """``{"section.key": (default, sentence)}`` for every setting, in order."""
    rows: dict[str, tuple[Any, str]] = {}
    base = kind()
    for section in fields(kind):
        value = getattr(base, section.name)
        for key in fields(value):
            rows[f"{section.name}.{key.name}"] = (getattr(value, key.name), key.metadata["doc"])
    return rows
