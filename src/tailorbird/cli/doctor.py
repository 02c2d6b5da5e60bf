"""``tailorbird doctor``: what this machine has, what is missing, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer
from packaging.requirements import Requirement

from tailorbird.cli.display import print_json
from tailorbird.cli.options import AsJson, Workspace
from tailorbird.errors import TailorbirdError

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "bf16", "i8mm")
_MARKS = {"ok": "[green]✓[/]", "note": "[yellow]·[/]", "missing": "[red]✗[/]"}
_NEEDED_DISK_GB = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    state: Literal["ok", "note", "missing"]
    """``note``: worth knowing, nothing stops; ``missing``: something needed is not there."""
    text: str
    cure: str = ""
    """The command that mends it."""


def doctor(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Say what this machine has, what is missing, and the command that mends it."""
    findings = list(examine(workspace))
    is_ready = all(finding.state != "missing" for finding in findings)
    if as_json:
        print_json({"ready": is_ready, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
    if not is_ready:
        raise typer.Exit(1)


def examine(workspace: Path | None = None) -> Iterator[Finding]:
    """Look at one thing after the other; what fails becomes a finding, never a traceback."""
    looks: list[Callable[[], Iterator[Finding]]] = [
        look_at_python,
        look_at_processor,
        look_at_torch,
        lambda: look_at_disk(workspace),
        look_at_packages,
        look_at_weights,
        lambda: look_at_workspace(workspace),
        look_at_extras,
    ]
    for look in looks:
        yield from look()


def look_at_python() -> Iterator[Finding]:
    """The version, and where it is."""
    is_new_enough = sys.version_info >= (3, 11)
    yield Finding(
        "Python",
        "ok" if is_new_enough else "missing",
        f"{platform.python_version()} in {sys.prefix}",
        "" if is_new_enough else "install Python 3.11 or newer, then: make clean setup",
    )


def look_at_processor() -> Iterator[Finding]:
    """Its name, cores, the instructions that matter for products, and the memory."""
    name, flags = _processor()
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    known = ", ".join(flag for flag in _FLAGS if flag in flags) or "none of the fast instructions"
    yield Finding("processor", "ok", f"{name}, {n_cores} cores, {known}")
    total_gb, free_gb = _memory_gb()
    if total_gb:
        yield Finding(
            "memory", "ok" if free_gb > 2 else "note", f"{free_gb:.1f} of {total_gb:.1f} GB free"
        )


def look_at_torch() -> Iterator[Finding]:
    """The compute type that pays here, and a GPU where there is one."""
    try:
        import torch

        from tailorbird.hardware import compute_dtype
        from tailorbird.modeling.gpu.operations import why_not
    except (ImportError, OSError) as error:  # OSError: a shared library of torch is missing
        yield Finding("torch", "missing", str(error), "pip install --force-reinstall torch==2.13.0")
        return
    _, reason = compute_dtype()
    kind, _, why = reason.partition(": ")
    yield Finding("torch", "ok", f"{torch.__version__}, {torch.get_num_threads()} threads")
    yield Finding(kind, "ok", why)
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        memory_gb = properties.total_memory / 1e9
        yield Finding("GPU", "ok", f"{properties.name}, {memory_gb:.0f} GB")
        why = why_not()
        slower = (
            f"{why}: single operations, two to three times as many" if why else "compiled by Triton"
        )
        yield Finding("GPU kernels", "note" if why else "ok", slower)
    else:
        yield Finding("GPU", "note", "none found; the processor does the work")


def look_at_disk(workspace: Path | None) -> Iterator[Finding]:
    """Free space where the workspace is or will be."""
    folder = _workspace_path(workspace)
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    is_enough = free_gb >= _NEEDED_DISK_GB
    yield Finding(
        "disk",
        "ok" if is_enough else "missing",
        f"{free_gb:.1f} GB free at {folder}",
        "" if is_enough else "free 2 GB, or name a folder on another disk with --workspace",
    )


def look_at_packages() -> Iterator[Finding]:
    """What Tailorbird needs: each package there, in a version that fits."""
    wanting = _wanting("")
    if wanting:
        yield Finding("packages", "missing", _listed(wanting), _install(wanting))
    else:
        yield Finding("packages", "ok", f"tailorbird {importlib.metadata.version('tailorbird')}")


def look_at_weights() -> Iterator[Finding]:
    """Embedded weights: one encoder is needed, two understand every log; the others are extras."""
    try:
        from tailorbird.weights.embedded import EMBEDDED
    except (ImportError, OSError):
        return  # said by torch and packages
    n_found = sum(model.is_installed for model in EMBEDDED.values() if model.in_default_set)
    for model in EMBEDDED.values():
        says = f"{model.model} ({', '.join(model.languages)}; {model.licence})"
        if model.is_installed:
            yield Finding(f"weights {model.name}", "ok", says)
        elif not model.is_installable:
            yield Finding(f"weights {model.name}", "note", f"{says}: from the hub on this machine")
        else:
            yield Finding(
                f"weights {model.name}",
                "missing" if model.in_default_set and not n_found else "note",
                f"{says}: not installed",
                f"tailorbird weights install {model.name}",
            )


def look_at_workspace(workspace: Path | None) -> Iterator[Finding]:
    """The folder and the schema of its database; looking makes neither."""
    path = _workspace_path(workspace)
    if not path.exists():
        yield Finding("workspace", "ok", f"{path} will be made by the first build")
        return
    try:
        from sqlalchemy import text

        from tailorbird import store

        with store.Workspace.open(path) as opened, opened.engine.connect() as connection:
            schema = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except ImportError as error:
        yield Finding(
            "workspace", "missing", str(error), "pip install --force-reinstall sqlalchemy"
        )
    except TailorbirdError as error:
        yield Finding("workspace", "missing", f"{error.where}: {error.what}", error.cure)
    else:
        yield Finding("workspace", "ok", f"{path}, database schema {schema}")


def look_at_extras() -> Iterator[Finding]:
    """Each optional set of packages: installed, or the command that brings it."""
    extras = importlib.metadata.metadata("tailorbird").get_all("Provides-Extra") or []
    for extra in sorted(extras):
        wanting = _wanting(extra)
        if wanting:
            cure = f"pip install 'tailorbird[{extra}]'"
            yield Finding(f"extra {extra}", "note", f"not installed: {_listed(wanting)}", cure)
        else:
            yield Finding(f"extra {extra}", "ok", "installed")


def _wanting(extra: str) -> list[Requirement]:
    """What the core (empty *extra*) or an extra needs and does not find."""
    wanting = []
    for line in importlib.metadata.requires("tailorbird") or []:
        needed = Requirement(line)
        of_core = needed.marker is None or needed.marker.evaluate({"extra": ""})
        of_extra = needed.marker is not None and needed.marker.evaluate({"extra": extra})
        if of_core != (extra == "") or not (of_core or of_extra):
            continue
        try:
            found = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            wanting.append(needed)
            continue
        if not needed.specifier.contains(found, prereleases=True):
            wanting.append(needed)
    return wanting


def _listed(wanting: list[Requirement]) -> str:
    return ", ".join(f"{needed.name}{needed.specifier}" for needed in wanting)


def _install(wanting: list[Requirement]) -> str:
    return "pip install " + " ".join(f"'{needed.name}{needed.specifier}'" for needed in wanting)


def _workspace_path(workspace: Path | None) -> Path:
    chosen = workspace or os.environ.get("TAILORBIRD_WORKSPACE") or "~/.tailorbird"
    return Path(chosen).expanduser().absolute()


def _processor() -> tuple[str, set[str]]:
    """Name and instruction flags, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    facts = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return facts.get("model name", platform.machine()), flags


def _memory_gb() -> tuple[float, float]:
    """Total and free memory; zeros where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0, 0.0
    kilobytes = {line.split(":")[0]: float(line.split()[1]) for line in lines}
    return kilobytes["MemTotal"] / 1e6, kilobytes.get("MemAvailable", 0.0) / 1e6


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for finding in findings:
        text = finding.text + (
            f"\n[dim]→[/] [bold]{_escaped(finding.cure)}[/]" if finding.cure else ""
        )
        table.add_row(_MARKS[finding.state], finding.topic, text)
    console = Console()
    console.print(table)
    n_missing = sum(finding.state == "missing" for finding in findings)
    console.print(
        "everything that is needed is here"
        if not n_missing
        else f"{n_missing} missing: run what stands after the arrows"
    )


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
