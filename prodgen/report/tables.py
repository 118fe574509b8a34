"""HTML tables of escaped text."""

from __future__ import annotations

import dataclasses
import html
import urllib.parse
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Link:
    """A cell that leads to a file. path: relative to the page, with forward slashes."""

    text: str
    path: str


def build_table(rows: Iterable[Iterable[object]], header: Iterable[str] = ()) -> str:
    """A table of rows of cells; with a header it scrolls where the page is too narrow."""
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{_format_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    if not titles:
        return f"<table>{body}</table>"
    return f"<div class=wide><table><tr>{titles}</tr>{body}</table></div>"


def _format_cell(cell: object) -> str:
    if isinstance(cell, Link):
        # A quoted path has no colon, so it cannot be a script.
        path = urllib.parse.quote(cell.path, errors="surrogateescape")
        return f'<a href="{path}">{html.escape(cell.text)}</a>'
    return html.escape(str(cell).strip())
