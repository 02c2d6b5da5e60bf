"""``tailorbird knowledge``: the documents that the assistant may answer from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from tailorbird.cli.display import SCREEN, print_json
from tailorbird.cli.knowledge_tune import reranker, tune
from tailorbird.cli.options import AsJson, Workspace
from tailorbird.cli.replies_tune import tune_replies

if TYPE_CHECKING:
    from tailorbird.knowledge import KnowledgeBase

app = typer.Typer(
    help="Documents that the assistant may answer from: add, list, search, remove, tune.",
    no_args_is_help=True,
)

app.command()(tune)
app.command()(reranker)
app.command()(tune_replies)

Encoder = Annotated[
    str,
    typer.Option(
        "--encoder",
        help="What texts are compared with: e5, minilm, a folder with a model, or a hub name.",
        show_default="the one named last, else e5",
    ),
]


@app.command()
def add(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files, or folders of them: .md .txt .html .pdf .docx .csv", metavar="PATH..."
        ),
    ],
    *,
    encoder: Encoder = "",
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Read documents, and keep what they say in pieces that can be searched.

    A document is named by its file, and by the folders between PATH and it.

    One that was added before is read again only where its bytes changed.

    What cannot be read is said, the rest is added all the same, and the exit code is 1.

    Example: tailorbird knowledge add examples/knowledge
    """
    from tailorbird.errors import KnowledgeError

    files = _files(paths)
    added: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    with _opened(workspace, encoder, quiet=as_json) as (base, report):
        for number, (name, path) in enumerate(files, 1):
            report.begin(f"{number}/{len(files)} {name}")
            try:
                one = base.add(name, _bytes(path, base.limits.max_bytes))
            except KnowledgeError as error:
                refused.append({"name": name, "message": error.what, "cure": error.cure})
                report.say(f"[red]✗[/] {escape(str(error))}")
                continue
            added.append(asdict(one))
            what = f"{one.status}, {one.n_chunks} pieces"
            report.say(f"[green]✓[/] {escape(name)}: {what}")
    if as_json:
        print_json({"documents": added, "refused": refused})
    else:
        n_new = sum(one["status"] != "unchanged" for one in added)
        unread = f", {len(refused)} could not be read" if refused else ""
        SCREEN.print(f"{n_new} new or changed, {len(added) - n_new} unchanged{unread}")
    if refused:
        raise typer.Exit(1)


@app.command("list")
def list_(workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Show the documents: kind, pieces, size, when they were last changed."""
    from rich.console import Console
    from rich.table import Table

    with _opened(workspace) as (base, _):
        counts = base.n_chunks()
        rows = [
            {
                "name": row.name,
                "kind": row.kind,
                "title": row.title,
                "n_chunks": counts.get(row.name, 0),
                "n_bytes": row.n_bytes,
                "updated": row.updated.isoformat(timespec="seconds"),
            }
            for row in base.documents()
        ]
    if as_json:
        print_json({"documents": rows})
        return
    if not rows:
        SCREEN.print("there are no documents yet; add some: tailorbird knowledge add PATH")
        return
    table = Table("name", "kind", "title", "pieces", "bytes", "changed (UTC)")
    table.columns[0].overflow = "fold"  # as `remove` wants it
    for row in rows:
        changed = str(row["updated"])[:16].replace("T", " ")
        facts = (str(row["n_chunks"]), f"{row['n_bytes']:,}", changed)
        table.add_row(escape(str(row["name"])), str(row["kind"]), escape(str(row["title"])), *facts)
    Console().print(table)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="As a customer would ask it.")],
    *,
    n: Annotated[int, typer.Option("-n", help="Passages at most.", min=1, max=50)] = 5,
    encoder: Encoder = "",
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Show the passages that fit a question best, as the assistant would find them.

    The exit code is 1 where nothing is found.

    Example: tailorbird knowledge search "多久能退款？"
    """
    from rich.console import Console

    with _opened(workspace, encoder, quiet=as_json) as (base, report):
        report.begin("looking")
        found = base.search(question, k=n)
    if as_json:
        print_json({"question": question, "passages": [asdict(one) for one in found]})
    for one in found if not as_json else []:
        source = " › ".join(filter(None, (one.document, one.heading)))
        console = Console(soft_wrap=True, highlight=False)
        console.print(f"[bold]{escape(source)}[/]  [dim]{one.score:.4f}[/]")
        for line in filter(None, (one.question, *one.text.split("\n"))):
            console.print(f"  {line}", markup=False)
    if not found:
        if not as_json:
            SCREEN.print("nothing is found: are there documents? tailorbird knowledge list")
        raise typer.Exit(1)


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="As the list shows them.", metavar="NAME...")],
    *,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Forget documents; nothing is answered from them any more.

    The exit code is 1 where one is not there; the others are removed.

    Example: tailorbird knowledge remove old-prices.pdf
    """
    with _opened(workspace) as (base, _):
        removed = [name for name in names if base.remove(name)]
        known = [row.name for row in base.documents()]
    unknown = [name for name in names if name not in removed]
    if as_json:
        print_json({"removed": removed, "unknown": unknown})
    for name in removed if not as_json else []:
        SCREEN.print(f"[green]✓[/] {escape(name)} is removed")
    for name in unknown if not as_json else []:
        SCREEN.print(f"[red]✗[/] there is no document {escape(repr(name))}{_near(name, known)}")
    if unknown:
        raise typer.Exit(1)


class _Report:
    """Says what is going on, where somebody looks."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._doing = ""
        self._status = SCREEN.status("")

    def begin(self, doing: str) -> None:
        """Something takes its time from here on."""
        self._doing = doing
        if not self.quiet:
            self._status.update(escape(doing))
            self._status.start()

    def progress(self, n_done: int, n_all: int) -> None:
        """Pieces are being embedded."""
        if not self.quiet:
            self._status.update(escape(f"{self._doing}: {n_done} of {n_all} pieces"))

    def say(self, sentence: str) -> None:
        """A line that stays."""
        if not self.quiet:
            SCREEN.print(sentence)

    def end(self) -> None:
        """Nothing goes on any more."""
        self._status.stop()


@contextmanager
def _opened(
    workspace: Path | None, encoder: str = "", *, quiet: bool = False
) -> Iterator[tuple[KnowledgeBase, _Report]]:
    """The documents of a workspace; models are loaded when they are needed."""
    from tailorbird import store
    from tailorbird.knowledge import KnowledgeBase, open_encoder
    from tailorbird.knowledge.kept_reranker import KeptReranker

    report = _Report(quiet)
    with store.Workspace.open(workspace) as opened:
        chosen = open_encoder(opened, encoder, say=lambda sentence: report.say(escape(sentence)))
        try:
            base = KnowledgeBase(
                opened, chosen, reranker=KeptReranker(opened), on_progress=report.progress
            )
            yield base, report
        finally:
            report.end()


def _files(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """(name, path) of each file; of folders, those of kinds that can be read.

    Raises KnowledgeError where there is none, and where two would have one name.
    """
    from tailorbird.errors import KnowledgeError
    from tailorbird.knowledge.documents import KINDS

    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise KnowledgeError(
                "is not there", where=str(path), cure="name a file or a folder of documents"
            )
        inside = [
            one
            for one in sorted(path.rglob("*"))
            if one.is_file() and one.suffix.lower() in KINDS and not one.name.startswith(".")
        ]
        for one in inside if path.is_dir() else [path]:
            name = one.relative_to(path).as_posix() if path.is_dir() else one.name
            if found.setdefault(name, one) != one:
                raise KnowledgeError(
                    f"would replace {found[name]}, which has the same name",
                    where=str(one),
                    cure="name the folder above both",
                )
    if not found:
        raise KnowledgeError(
            "holds no documents",
            where=", ".join(map(str, paths)),
            cure=f"known kinds: {' '.join(KINDS)}",
        )
    return list(found.items())


def _bytes(path: Path, limit: int) -> bytes:
    """The content of a file, no more of it than tells that it is too large."""
    from tailorbird.errors import KnowledgeError

    size = path.stat().st_size
    if size > limit:  # not read at all
        raise KnowledgeError(
            f"has {size:,} bytes, and {limit:,} are allowed",
            where=str(path),
            cure="cut it into parts, or take its pictures out",
        )
    return path.read_bytes()


def _near(name: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {escape(repr(near[0]))}?" if near else ""
