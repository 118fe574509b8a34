"""The data report as one HTML page: no script, no outside file, readable on a phone."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from prodgen.data.store import SPLITS, Store

SAMPLES = 8  # pictures shown a class
MOST_CLASSES = 24  # that are shown with pictures
MOST_PAIRS = 12
THUMB = 96  # pixels a side at most

STYLE = """
:root{--ink:#1d2430;--soft:#667085;--line:#e4e7ec;--card:#fff;--page:#f6f7f9;--bar:#3b6fd4;
--bar2:#8fb0ea;--bar3:#cfdcf5;--warn:#b54708;--warnbg:#fff6e9}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#98a2b3;--line:#313846;--card:#1b202a;
--page:#12151c;--bar:#6c9bf0;--bar2:#45689f;--bar3:#2f4468;--warn:#fdb022;--warnbg:#2b2413}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.7rem;line-height:1.2;margin:8px 0 4px;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:0 0 4px}
p.lead,p.note{color:var(--soft);margin:0 0 14px}
p.note{font-size:.9rem}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;
margin-top:16px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px}
.cards div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:12px 16px}
.cards b{display:block;font-size:1.5rem;line-height:1.3;font-variant-numeric:tabular-nums}
.cards span{color:var(--soft);font-size:.85rem}
.warn{background:var(--warnbg);border-color:var(--warn)}
.warn ul{margin:6px 0 0;padding-left:20px}
.row{display:grid;grid-template-columns:minmax(80px,170px) 1fr 64px;gap:10px;align-items:center;
margin:5px 0;font-size:.92rem}
.row .name{overflow-wrap:anywhere}
.row .value{text-align:right;font-variant-numeric:tabular-nums;color:var(--soft)}
.track{display:flex;height:12px;border-radius:6px;overflow:hidden;background:var(--page)}
.track i{display:block;background:var(--bar)}
.track i.s1{background:var(--bar2)}.track i.s2{background:var(--bar3)}
.key{display:inline-block;width:10px;height:10px;border-radius:3px;margin:0 4px 0 10px}
.sheet{display:flex;flex-wrap:wrap;gap:6px;margin:4px 0 16px}
.sheet img,.pair img{width:72px;height:72px;border-radius:6px;border:1px solid var(--line);
image-rendering:auto;background:#fff}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:12px}
.pair small{display:block;color:var(--soft);overflow-wrap:anywhere;font-size:.75rem}
h3{font-size:.95rem;margin:12px 0 2px}
h3 span{color:var(--soft);font-weight:normal}
.scroll{overflow-x:auto;max-height:420px;overflow-y:auto}
table{border-collapse:collapse;width:100%;font-size:.88rem}
td,th{text-align:left;padding:5px 8px;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:anywhere}
.swatch{display:inline-block;width:1em;height:1em;border-radius:4px;border:1px solid var(--line);
vertical-align:-2px}
"""


def render_page(store: Store, summary: dict[str, Any]) -> str:
    """The whole page for the report's numbers, with pictures from the store."""
    title = _safe(summary["title"])
    parts = [
        _cards(summary),
        _remarks(summary["remarks"] + summary["notes"]),
        _samples(store, summary),
        _class_balance(summary),
        _attributes(summary["attributes"]),
        _originals(summary),
        _background(summary["background"]),
        _duplicates(store, summary),
        _refused(summary["refused"], summary["left_out"]),
    ]
    kind = "grey" if summary["channels"] == 1 else "colour"
    side = summary["resolution"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}: data report</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{title}</h1><p class="lead">The pictures as they are trained on: {side} x {side} '
        f"pixels, {kind}. Store {_safe(summary['key'])}.</p>{''.join(parts)}</main></body></html>\n"
    )


def _safe(text: Any) -> str:
    return html.escape(str(text), quote=True)


def _section(title: str, note: str, body: str, kind: str = "") -> str:
    lead = f'<p class="note">{note}</p>' if note else ""
    return f'<section class="{kind}"><h2>{title}</h2>{lead}{body}</section>'


def _cards(summary: dict[str, Any]) -> str:
    counts = summary["counts"]
    cards = [
        (sum(counts[name] for name in SPLITS), "pictures in use"),
        (counts["train"], "to train on"),
        (counts["validation"], "to choose the best state"),
        (counts["test"], "to judge at the end"),
        (summary["refused"]["total"], "refused"),
        (summary["duplicates"]["pictures"], "exact copies"),
    ]
    cells = "".join(f"<div><b>{count:,}</b><span>{name}</span></div>" for count, name in cards)
    return f'<div class="cards">{cells}</div>'


def _remarks(remarks: list[str]) -> str:
    if not remarks:
        return _section("Nothing stands out", "No file was refused, no class is short.", "")
    items = "".join(f"<li>{_safe(remark)}</li>" for remark in remarks)
    return _section("Worth a look", "", f"<ul>{items}</ul>", "warn")


def _samples(store: Store, summary: dict[str, Any]) -> str:
    """A few pictures of each class, chosen by hash: arbitrary, but always the same ones."""
    order = np.lexsort(store.hash.T[::-1])
    body = []
    for label, one in enumerate(summary["classes"][:MOST_CLASSES]):
        rows = order[store.label[order] == label][:SAMPLES]
        if len(rows):
            name = f"{_safe(one['name'])} <span>{one['total']:,}</span>"
            body.append(f"<h3>{name}</h3>{_sheet(store, rows)}")
    loose = order[store.label[order] < 0][: SAMPLES if body else 3 * SAMPLES]
    if len(loose):
        count = int((store.label < 0).sum())
        body.append(f"<h3>without a class <span>{count:,}</span></h3>" if body else "")
        body.append(_sheet(store, loose))
    note = "Exactly what the model sees, fitted into a square."
    if len(summary["classes"]) > MOST_CLASSES:
        note += f" The first {MOST_CLASSES} of {len(summary['classes'])} classes."
    return _section("Samples", note, "".join(body))


def _sheet(store: Store, rows: np.ndarray) -> str:
    names = store.names(rows)
    pictures = store.fetch(rows)["image"]
    pairs = zip(pictures, names, strict=True)
    return f'<div class="sheet">{"".join(_image(*pair) for pair in pairs)}</div>'


def _image(picture: np.ndarray, name: str) -> str:
    """An <img> with the picture uint8 [H, W, C] inside."""
    image = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
    image.thumbnail((THUMB, THUMB))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    words = _safe(name.encode("utf-8", "backslashreplace").decode())
    return f'<img alt="{words}" title="{words}" loading="lazy" src="data:image/png;base64,{data}">'


def _bars(counts: Iterable[tuple[str, list[int], str]]) -> str:
    """Rows of (name, stacked counts, text at the end), all on one scale."""
    rows = list(counts)
    most = max((sum(parts) for _, parts, _ in rows), default=0) or 1
    lines = []
    for name, parts, text in rows:
        pieces = "".join(
            f'<i class="s{number}" style="width:{100 * part / most:.2f}%"></i>'
            for number, part in enumerate(parts)
            if part
        )
        lines.append(
            f'<div class="row"><div class="name">{_safe(name)}</div>'
            f'<div class="track">{pieces}</div><div class="value">{_safe(text)}</div></div>'
        )
    return "".join(lines)


def _class_balance(summary: dict[str, Any]) -> str:
    if not summary["classes"]:
        return ""
    rows = [
        (one["name"], [one[split] for split in SPLITS], f"{one['total']:,}")
        for one in sorted(summary["classes"], key=lambda one: -one["total"])
    ]
    if summary["unlabelled"]:
        rows.append(("without a class", [summary["unlabelled"]], f"{summary['unlabelled']:,}"))
    keys = "".join(
        f'<i class="key" style="background:var(--bar{number or ""})"></i>{name}'
        for number, name in zip((0, 2, 3), SPLITS, strict=True)
    )
    return _section("Classes", f"Pictures of each class:{keys}", _bars(rows))


def _attributes(attributes: list[dict[str, Any]]) -> str:
    if not attributes:
        return ""
    body = []
    for one in attributes:
        unit = f" ({_safe(one['unit'])})" if one["unit"] else ""
        known = f"known for {one['known']:.0%} of the pictures"
        body.append(f"<h3>{_safe(one['name'])}{unit} <span>{known}</span></h3>")
        if one["kind"] == "categorical":
            values = sorted(one["values"].items(), key=lambda pair: -pair[1])
            body.append(_bars((name, [count], f"{count:,}") for name, count in values[:12]))
        elif one["range"]:
            low, lower, middle, upper, high = (f"{number:g}" for number in one["range"])
            body.append(
                f'<p class="note">from {low} to {high}; half of them between {lower} and {upper}, '
                f"in the middle {middle}</p>"
            )
    return _section("Attributes", "What else is known of the products.", "".join(body))


def _originals(summary: dict[str, Any]) -> str:
    sizes = summary["sizes"]
    note = (
        f"Shorter side in pixels: from {sizes['smallest']} to {sizes['largest']}, in the middle "
        f"{sizes['median']}. {sizes['square']:.0%} are square."
    )
    rows = [(name, [count], f"{count:,}") for name, count in sizes["shorter_side"].items()]
    return _section("Original sizes", note, _bars(rows))


def _background(background: dict[str, Any]) -> str:
    colour = (background["colour"] * 3)[:3]
    style = f"background:rgb({','.join(map(str, colour))})"
    note = (
        f'Median colour <i class="swatch" style="{style}"></i> '
        f"{' '.join(map(str, background['colour']))}. White all around: "
        f"{background['all_white']:,} pictures. The bars count them by the white share of their "
        "border."
    )
    rows = [(name, [count], f"{count:,}") for name, count in background["white_border"].items()]
    return _section("Background", note, _bars(rows))


def _duplicates(store: Store, summary: dict[str, Any]) -> str:
    exact, near = summary["duplicates"], summary["near_duplicates"]
    if not exact["groups"] and not near["pairs"]:
        return ""
    some = "" if near["complete"] else "at least "
    note = (
        f"Exact copies of another picture: {exact['pictures']:,}. Pairs that look nearly the same: "
        f"{some}{near['pairs']:,}, {near['across']:,} of them across splits. "
        "All are kept; remove what you do not want twice."
    )
    body = []
    if exact["rows"]:
        body.append("<h3>Exact copies</h3>" + _pairs(store, exact["rows"], exact["names"]))
    if near["rows"]:
        body.append("<h3>Nearly the same</h3>" + _pairs(store, near["rows"], near["names"]))
    return _section("Duplicates", note, "".join(body))


def _pairs(store: Store, rows: list[list[int]], names: list[list[str]]) -> str:
    cells = []
    for ids, words in list(zip(rows, names, strict=True))[:MOST_PAIRS]:
        pictures = store.fetch(np.array(ids[:2]))["image"]
        images = "".join(_image(*pair) for pair in zip(pictures, words[:2], strict=True))
        more = f" and {len(ids) - 2} more" if len(ids) > 2 else ""
        label = f"{_safe(words[0])}<br>{_safe(words[1])}{more}"
        cells.append(f'<div class="pair">{images}<small>{label}</small></div>')
    return f'<div class="pairs">{"".join(cells)}</div>'


def _refused(refused: dict[str, Any], left_out: list[str]) -> str:
    if not refused["total"] and not left_out:
        return ""
    rows = [(name, [count], f"{count:,}") for name, count in refused["kinds"].items()]
    lines = [(one["name"], one["reason"]) for one in refused["examples"]]
    lines += [(name, "left out: the same as an official held-out picture") for name in left_out]
    cells = "".join(f"<tr><td>{_safe(a)}</td><td>{_safe(b)}</td></tr>" for a, b in lines)
    note = f"The first {len(lines)} by name." if refused["total"] > len(lines) else ""
    table = f"<table><tr><th>file</th><th>reason</th></tr>{cells}</table>"
    return _section("Refused", note, f'{_bars(rows)}<div class="scroll">{table}</div>')
