"""One self-contained HTML page: its style, cards, folded parts and embedded images."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from prodgen.core.file_names import decode_name

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1e293b; background: #f8fafc;
       max-width: 980px; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: .2rem 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p.sub { color: #64748b; margin: 0; }
img { max-width: 100%; height: auto; border-radius: 8px; background: white;
      box-shadow: 0 1px 3px #0f172a22; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(135px, 1fr)); gap: .7rem; }
.card { background: white; border-radius: 10px; padding: .7rem .9rem;
        box-shadow: 0 1px 3px #0f172a18; }
.card b { display: block; font-size: 1.25rem; } .card span { color: #64748b; font-size: .82rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; background: white; }
td { padding: .25rem .6rem; border-bottom: 1px solid #e2e8f0; overflow-wrap: anywhere; }
td:first-child { color: #64748b; width: 45%; }
ul.warn { background: #fef2f2; border-left: 4px solid #dc2626; border-radius: 6px;
          padding: .6rem .6rem .6rem 1.8rem; }
h3 { font-size: .98rem; margin: 1.4rem 0 .4rem; }
th { text-align: left; font-weight: 600; padding: .25rem .6rem; border-bottom: 2px solid #cbd5e1; }
div.wide { overflow-x: auto; } div.wide td { overflow-wrap: normal; }
p.note { color: #92400e; font-size: .88rem; margin: .4rem 0; }
iframe { width: 100%; height: 80vh; border: 1px solid #e2e8f0; border-radius: 8px; }
details { margin-top: .8rem; } summary { cursor: pointer; color: #2563eb; }
"""


def build_page(title: str, sections: Sequence[str], extra_style: str = "") -> bytes:
    """A page of HTML sections, UTF-8. `extra_style` is CSS that follows STYLE."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    body = "\n".join(sections)
    page = (
        f"<!doctype html><html lang=en><head>{head}<title>{html.escape(title)}</title>"
        f"<style>{STYLE}{extra_style}</style></head><body>{body}</body></html>"
    )
    return decode_name(page).encode()  # a name may have bytes that are not UTF-8


def format_cards(cards: Iterable[tuple[str, str]]) -> str:
    """Key numbers side by side, from (description, value)."""
    inner = "".join(
        f"<div class=card><b>{html.escape(value)}</b><span>{html.escape(description)}</span></div>"
        for description, value in cards
    )
    return f"<div class=cards>{inner}</div>"


def embed_image(path: Path, alt_text: str) -> str:
    """A PNG file as an image inside the page; "" where the file is absent."""
    return embed_bytes(path.read_bytes(), alt_text) if path.exists() else ""


def embed_bytes(content: bytes, alt_text: str, media_type: str = "image/png") -> str:
    """The content of an image file as an image inside the page."""
    data = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(alt_text)}" src="data:{media_type};base64,{data}">'


def fold(title: str, content: str) -> str:
    """HTML that is hidden until the reader opens it; `title` is HTML."""
    return f"<details><summary>{title}</summary>{content}</details>"
