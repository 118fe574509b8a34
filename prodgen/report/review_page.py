"""A page to look through images: each with its images side by side, its verdict and its findings.

Rows that need a person come first. The page is one file, its images are inside it.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence

from prodgen.report import html_page

STATES = ("bad", "doubt", "good")  # of a row, in the order of the page
STYLE = """
.row { display: flex; gap: .9rem; background: white; border-radius: 10px; padding: .7rem .8rem;
       margin: .6rem 0; border-left: 5px solid #94a3b8; box-shadow: 0 1px 3px #0f172a18; }
.row.bad { border-color: #dc2626; } .row.doubt { border-color: #d97706; }
.row.good { border-color: #15803d; }
.images { display: flex; flex-wrap: wrap; gap: .5rem; align-content: flex-start; }
figure { margin: 0; }
figure img { border: 1px solid #cbd5e1; border-radius: 6px; display: block; }
figcaption { font-size: .72rem; color: #64748b; max-width: 11rem; overflow-wrap: anywhere; }
.words { flex: 1; min-width: 15rem; font-size: .86rem; } .words p { margin: .15rem 0; }
.words ul { margin: .2rem 0; padding-left: 1.1rem; } .verdict { font-weight: 600; }
.bad .verdict { color: #dc2626; } .doubt .verdict { color: #b45309; }
.good .verdict { color: #15803d; }
"""
# Works without a server: the names of the ticked rows become a file of the browser.
APPROVAL = """<p><button onclick="
const names = [...document.querySelectorAll('input[data-name]:checked')].map(b => b.dataset.name);
const link = document.createElement('a');
link.href = URL.createObjectURL(new Blob([names.join('\\n') + '\\n'], {type: 'text/plain'}));
link.download = 'approved.txt'; link.click();">Save the names of the approved ones</button></p>"""


@dataclasses.dataclass(frozen=True)
class ReviewRow:
    """One image or product of a page.

    title: its name. verdict: in words. state: of STATES. images: (caption, content of a JPEG
    file). findings: why it needs a look. details: what else there is to know. approval: the name
    under which a person approves it on the page; "": there is nothing to approve.
    """

    title: str
    verdict: str
    state: str
    images: tuple[tuple[str, bytes], ...] = ()
    findings: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    approval: str = ""


def build_review_page(
    title: str,
    summary: str,
    cards: Sequence[tuple[str, str]],
    rows: Sequence[ReviewRow],
    sections: Sequence[str] = (),
) -> bytes:
    """The page, UTF-8: cards (description, value), rows by state, then `sections` of HTML."""
    ordered_rows = sorted(rows, key=lambda row: STATES.index(row.state))
    head = f"<h1>{html.escape(title)}</h1><p class=sub>{html.escape(summary)}</p>"
    body = [head, html_page.format_cards(cards), *map(format_row, ordered_rows), *sections]
    if any(row.approval for row in rows):
        body.insert(2, APPROVAL)
    return html_page.build_page(title, body, STYLE)


def format_row(row: ReviewRow) -> str:
    """One row as HTML."""
    images = "".join(
        f"<figure>{html_page.embed_bytes(content, caption, 'image/jpeg')}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, content in row.images
    )
    findings = "".join(f"<li>{html.escape(text)}</li>" for text in row.findings)
    details = "".join(f"<p>{html.escape(text)}</p>" for text in row.details)
    return (
        f'<div class="row {row.state}"><div class=images>{images}</div><div class=words>'
        f"<b>{html.escape(row.title)}</b><p class=verdict>{html.escape(row.verdict)}</p>"
        f"<ul>{findings}</ul>{details}{_format_approval(row)}</div></div>"
    )


def _format_approval(row: ReviewRow) -> str:
    """A box to tick, ticked for a row without findings."""
    if not row.approval:
        return ""
    tick = " checked" if row.state == "good" else ""
    name = html.escape(row.approval, quote=True)
    return f'<label><input type=checkbox data-name="{name}"{tick}> approve</label>'
