"""Tables as sentences: a row alone says nothing once its header is far away."""

from __future__ import annotations

from collections.abc import Sequence


def row_lines(rows: Sequence[Sequence[str]], *, has_header: bool) -> list[str]:
    """One line a row; below a header each cell is led by the name of its column.

    >>> row_lines([["Way", "Days"], ["express", "1"]], has_header=True)
    ['Way: express; Days: 1']
    >>> row_lines([["express", "1"]], has_header=False)
    ['express; 1']
    """
    rows = [[" ".join(cell.split()) for cell in row] for row in rows]
    if not has_header or len(rows) < 2:
        return [line for row in rows if (line := "; ".join(filter(None, row)))]
    header, *body = rows
    return [
        "; ".join(
            f"{name}: {cell}" if name else cell
            for name, cell in zip([*header, *[""] * len(row)], row, strict=False)
            if cell
        )
        for row in body
        if any(row)
    ]
