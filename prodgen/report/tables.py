"""HTML tables of escaped text."""

from __future__ import annotations

import html
from collections.abc import Iterable


def build_table(rows: Iterable[Iterable[object]], header: Iterable[str] = ()) -> str:
    """A table of rows of cells; with a header it scrolls where the page is too narrow."""
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell).strip())}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    if not titles:
        return f"<table>{body}</table>"
    return f"<div class=wide><table><tr>{titles}</tr>{body}</table></div>"
