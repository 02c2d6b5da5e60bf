"""Doubtful labels as one page that needs no other file, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

N_SHOWN = 1000
"""More rows than anybody reads; all of them are in the JSONL file."""

_STYLE = Markup("""
:root { color-scheme: light dark; --wrong: #b4531f; --soft: #6b7280; --line: #d6d9de; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: start; vertical-align: top; padding: .35rem .8rem .35rem 0; }
tr { border-top: 1px solid var(--line); }
th, .soft { color: var(--soft); font-weight: 400; font-size: .875rem; }
td { overflow-wrap: break-word; }
td:first-child { overflow-wrap: anywhere; }
.was { color: var(--wrong); text-decoration: line-through; }
""")
_PAGE = Markup("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Doubtful labels · 存疑标签</title><style>{style}</style></head><body>
<h1>Doubtful labels · 存疑标签</h1>
<ul>{sentences}</ul>
<table><thead><tr><th>Text · 文本</th><th>Label · 现有标签</th><th>Looks like · 更像</th>
<th>Row · 编号</th></tr></thead><tbody>
{rows}</tbody></table>
<p class="soft">{rest}</p>
<p class="soft">Percentages: how likely models that were not trained on a row find either label; the
most doubtful rows come first. · 百分比：未用该行训练的模型给出的概率；最可疑的在前。</p>
</body></html>
""")
_ROW = Markup(
    '<tr><td>{text}</td><td><span class="was">{label}</span> <small>{score:.1%}</small></td>'
    "<td>{suggested} <small>{suggested_prob:.0%}</small></td>"
    '<td class="soft">{id} {split}</td></tr>\n'
)


def write_doubt_page(path: Path, rows: Sequence[Mapping[str, Any]], told: Sequence[str]) -> None:
    """Write *rows*, worst first, and what was *told* of them to the HTML file *path*.

    Args:
        path: the file.
        rows: ``id``, ``split``, ``text``, ``label``, ``score``, ``suggested`` and
            ``suggested_prob`` of each.
        told: sentences.
    """
    shown = rows[:N_SHOWN]
    n_more = len(rows) - len(shown)
    rest = f"{n_more:,} more in the JSONL file · 其余见 JSONL 文件" if n_more else ""
    page = _PAGE.format(
        style=_STYLE,
        sentences=Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in told),
        rows=Markup("").join(_ROW.format(**_shown(row)) for row in shown),
        rest=rest,
    )
    path.write_text(page, encoding="utf-8", errors="replace")


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    second = f" ⇄ {row['second']}" if row.get("second") else ""
    return {**row, "text": f"{row['text']}{second}"}
