"""What every part of the package promises: documented doors, quiet and safe code, a quick start."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "tailorbird"
FILES = sorted(PACKAGE.rglob("*.py"))
PACKAGED = sorted(
    path for path in PACKAGE.rglob("*") if path.suffix in {".html", ".css", ".js", ".svg", ".py"}
)

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "torch.hub.load"}
NETWORK_MODULES = {
    *("requests", "httpx", "aiohttp", "urllib3", "urllib.request", "http.client", "ftplib"),
    "huggingface_hub",
}
MAY_FETCH = {"weights/sources.py"}
"""Hub names, where the user gives one; rooms that talk to services are under connectors/."""

FETCHING_TAG = re.compile(
    r"<(?:script|link|img|iframe|image|use|source|audio|video|embed|object)\b[^>]*?"
    r"(?:src|href|data)\s*=\s*[\"']?(?:https?:)?//",
    re.IGNORECASE,
)
FETCHING_CODE = re.compile(
    r"(?:url\(|@import|fetch\(|importScripts\()\s*[\"']?https?://|\bfrom\s*[\"']https?://",
    re.IGNORECASE,
)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each call with its name as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def unsafe(tree: ast.AST) -> list[str]:
    """What could run code hidden in data, or evaluates text as code."""
    found = [name for name in imports(tree) if is_within(name, UNSAFE_MODULES)]
    for name, call in calls(tree):
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        is_unsafe = name in UNSAFE_CALLS
        if name in {"torch.load", "torch.serialization.load"}:
            is_unsafe = options.get("weights_only") != "True"
        if options.get("allow_pickle") == "True" or options.get("trust_remote_code") == "True":
            is_unsafe = True
        if is_unsafe:
            found.append(f"{name} in line {call.lineno}")
    return found


def doors() -> list[tuple[str, str]]:
    """(module, public name) of each room's door and of `tailorbird.api`."""
    modules = [f"tailorbird.{path.parent.name}" for path in sorted(PACKAGE.glob("*/__init__.py"))]
    modules += ["tailorbird.api"] if (PACKAGE / "api.py").exists() else []
    found = []
    for module in modules:
        loaded = importlib.import_module(module)
        names = getattr(loaded, "__all__", None)
        if names is None:
            names = [
                name
                for name, value in vars(loaded).items()
                if getattr(value, "__module__", "") == module and not name.startswith("_")
            ]
        found += [(module, name) for name in names]
    return found


@pytest.mark.parametrize(("module", "name"), doors())
def test_what_stands_in_a_door_is_documented(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)):
        return
    assert value.__doc__, f"{module}.{name} has no docstring"
    assert not re.match(rf"{name}\(", value.__doc__), f"{module}.{name}: dataclass's own docstring"
    if inspect.isclass(value):
        fields = getattr(value, "__dataclass_fields__", {})  # a default may be a function
        bare = [
            attribute
            for attribute, member in vars(value).items()
            if inspect.isfunction(member)
            and not (attribute.startswith("_") or attribute in fields or member.__doc__)
        ]
        assert bare == [], f"{module}.{name}"


def test_library_code_never_prints() -> None:
    for path in FILES:
        if not name_of(path).startswith("cli/"):
            found = [
                call.lineno for name, call in calls(parsed(path)) if name in {"print", "pprint"}
            ]
            assert found == [], name_of(path)


def test_nothing_unpickles_or_evaluates() -> None:
    for path in FILES:
        assert unsafe(parsed(path)) == [], name_of(path)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "eval(text)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)
def test_unsafe_code_would_be_found(source: str) -> None:
    assert unsafe(ast.parse(source)) != []


def test_safe_code_passes() -> None:
    source = "model.eval()\ntorch.load(p, weights_only=True)\nyaml.safe_load(t)"
    assert unsafe(ast.parse(source)) == []


def test_only_connectors_and_the_hub_use_the_network() -> None:
    for path in FILES:
        if name_of(path) not in MAY_FETCH and not name_of(path).startswith("connectors/"):
            found = [name for name in imports(parsed(path)) if is_within(name, NETWORK_MODULES)]
            assert found == [], name_of(path)


def test_pages_load_nothing_from_outside() -> None:
    for path in PACKAGED:
        content = path.read_text(encoding="utf-8")
        assert FETCHING_TAG.findall(content) == [], name_of(path)
        assert FETCHING_CODE.findall(content) == [], name_of(path)


@pytest.mark.parametrize(
    "content",
    [
        "<script defer src='https://cdn.example/x.js'></script>",
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        "@import 'https://fonts.example/a.css';",
        "background: url(https://example.org/a.png)",
        'import x from "https://cdn.example/x.mjs"',
    ],
)
def test_page_that_loads_from_outside_would_be_found(content: str) -> None:
    assert FETCHING_TAG.search(content) or FETCHING_CODE.search(content)


def test_help_is_quick_because_it_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['tailorbird', '--help']\n"
        "from tailorbird.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'sklearn', 'nicegui', 'fastapi'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Usage: tailorbird" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded: []"
