"""The data report as one HTML page: no script, no external file, readable on a phone."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from prodgen.data.store import SPLITS, Store

NUM_SAMPLES = 8  # images a class
MAX_CLASSES = 24  # with samples
MAX_PAIRS = 12
MAX_VALUES = 12  # of a categorical attribute
MAX_THUMBNAIL_SIDE = 96  # pixels

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
.columns th,.columns td:nth-child(-n+3){white-space:nowrap;overflow-wrap:normal}
ul{margin:6px 0;padding-left:20px}pre{margin:8px 0;font-size:.85rem;line-height:1.4}
.swatch{display:inline-block;width:1em;height:1em;border-radius:4px;border:1px solid var(--line);
vertical-align:-2px}
"""


def render_page(store: Store, summary: dict[str, Any]) -> str:
    """The whole page for the report's numbers, with images from the store."""
    title = _escape(summary["title"])
    remarks = _render_section("No remarks", "No file was refused, and no class is small.", "")
    if summary["remarks"] or summary["notes"]:
        texts = summary["remarks"] + summary["notes"]
        items = "".join(f"<li>{_escape(text)}</li>" for text in texts)
        remarks = _render_section("Remarks", "", f"<ul>{items}</ul>", "warn")
    sections = [
        _render_cards(summary),
        remarks,
        _render_reading(summary["reading"]),
        _render_samples(store, summary),
        _render_classes(summary),
        _render_products(summary["products"]),
        _render_attributes(summary["attributes"]),
        _render_sizes(summary["sizes"]),
        _render_background(summary["background"]),
        _render_duplicates(store, summary),
        _render_refusals(summary["refused"], summary["left_out"]),
    ]
    kind = "grey" if summary["channels"] == 1 else "colour"
    side = summary["resolution"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}: data report</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{title}</h1><p class="lead">The images as they are trained on: {side} x {side} '
        f"pixels, {kind}. Store {_escape(summary['key'])}.</p>{''.join(sections)}"
        "</main></body></html>\n"
    )


def _escape(text: Any) -> str:
    return html.escape(str(text), quote=True)


def _render_section(title: str, note: str, body: str, css_class: str = "") -> str:
    lead = f'<p class="note">{note}</p>' if note else ""
    return f'<section class="{css_class}"><h2>{title}</h2>{lead}{body}</section>'


def _render_cards(summary: dict[str, Any]) -> str:
    counts = summary["counts"]
    cards = [
        (sum(counts[name] for name in SPLITS), "images in use"),
        (counts["train"], "to train on"),
        (counts["validation"], "to choose the best checkpoint"),
        (counts["test"], "to test at the end"),
        (summary["refused"]["total"], "refused"),
        (summary["duplicates"]["pictures"], "exact copies"),
    ]
    cells = "".join(f"<div><b>{count:,}</b><span>{name}</span></div>" for count, name in cards)
    return f'<div class="cards">{cells}</div>'


def _render_reading(reading: dict[str, Any] | None) -> str:
    """How the folder or the table was read: its tree or columns, and what was decided."""
    if reading is None:
        return ""
    body = "".join(f"<li>{_escape(sentence)}</li>" for sentence in reading["sentences"])
    body = f"<ul>{body}</ul>" if body else ""
    if reading["tree"]:
        tree = "\n".join(map(_escape, reading["tree"]))
        body += f'<div class="scroll"><pre>{tree}</pre></div>'
    if reading["columns"]:
        names = ("name", "kind", "unit", "content", "reason")
        rows = ([column[name] for name in names] for column in reading["columns"])
        table = _render_table(("column", *names[1:]), rows)
        body += f'<div class="columns">{table}</div>'
    return _render_section(_escape(reading["title"]), "", body)


def _render_samples(store: Store, summary: dict[str, Any]) -> str:
    """A few images of each class, chosen by hash: arbitrary, but always the same ones."""
    order = np.lexsort(store.hash.T[::-1])
    body = []
    for label, row in enumerate(summary["classes"][:MAX_CLASSES]):
        ids = order[store.label[order] == label][:NUM_SAMPLES]
        if len(ids):
            name = f"{_escape(row['name'])} <span>{row['total']:,}</span>"
            body.append(f"<h3>{name}</h3>{_render_sheet(store, ids)}")
    # Images without a class follow; in a set without classes they are the only ones.
    unlabelled_ids = order[store.label[order] < 0][: NUM_SAMPLES if body else 3 * NUM_SAMPLES]
    if len(unlabelled_ids):
        count = int((store.label < 0).sum())
        body.append(f"<h3>without a class <span>{count:,}</span></h3>" if body else "")
        body.append(_render_sheet(store, unlabelled_ids))
    note = "Exactly the model's input, fitted into a square."
    if len(summary["classes"]) > MAX_CLASSES:
        note += f" The first {MAX_CLASSES} of {len(summary['classes'])} classes."
    return _render_section("Samples", note, "".join(body))


def _render_sheet(store: Store, ids: np.ndarray) -> str:
    images = map(_render_image, store.fetch(ids)["image"], store.names(ids))
    return f'<div class="sheet">{"".join(images)}</div>'


def _render_image(pixels: np.ndarray, name: str) -> str:
    """An <img> that holds the image uint8 [H, W, C]."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((MAX_THUMBNAIL_SIDE, MAX_THUMBNAIL_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    alt = _escape(name.encode("utf-8", "backslashreplace").decode())
    return f'<img alt="{alt}" title="{alt}" loading="lazy" src="data:image/png;base64,{data}">'


def _render_bars(counts: Iterable[tuple[str, list[int], str]]) -> str:
    """Rows of (name, stacked counts, text at the end), all on one scale."""
    rows = list(counts)
    longest = max((sum(parts) for _, parts, _ in rows), default=0) or 1
    lines = []
    for name, parts, text in rows:
        pieces = "".join(
            f'<i class="s{number}" style="width:{100 * part / longest:.2f}%"></i>'
            for number, part in enumerate(parts)
            if part
        )
        lines.append(
            f'<div class="row"><div class="name">{_escape(name)}</div>'
            f'<div class="track">{pieces}</div><div class="value">{_escape(text)}</div></div>'
        )
    return "".join(lines)


def _render_classes(summary: dict[str, Any]) -> str:
    if not summary["classes"]:
        return ""
    rows = [
        (row["name"], [row[split] for split in SPLITS], f"{row['total']:,}")
        for row in sorted(summary["classes"], key=lambda row: -row["total"])
    ]
    if summary["unlabelled"]:
        rows.append(("without a class", [summary["unlabelled"]], f"{summary['unlabelled']:,}"))
    legend = "".join(
        f'<i class="key" style="background:var(--bar{number or ""})"></i>{name}'
        for number, name in zip((0, 2, 3), SPLITS, strict=True)
    )
    return _render_section("Classes", f"Images of each class:{legend}", _render_bars(rows))


def _render_products(products: dict[str, Any]) -> str:
    """Images, products and joined groups of each split, and what lies across splits."""
    official, is_by_product = products["official_splits"], products["split_by"] == "product"
    if not (is_by_product or products["has_groups"]):
        return ""
    note = "Split by image: only exact copies of an image are always in the same split."
    if is_by_product:
        note = (
            "Split by product: all images of a product, and products that look alike, are in the "
            f"same split. Near duplicates across these splits: "
            f"{products['near_duplicates_across_own_splits']:,}."
        )
        if products["joined"]:
            note += f" {products['joined']:,} groups of two to {products['most_joined']} products "
            note += "that look alike were joined."
    if official:
        note += f" The source's own splits are not changed: {', '.join(official)}."
    shares = ", ".join(f"{name} {share:.0%}" for name, share in products["requested"].items())
    note += f" Requested: {shares} of the images."
    rows = [
        (name, row["images"], row["products"], row["joined_groups"])
        for name, row in products["splits"].items()
    ]
    body = _render_table(("split", "images", "products", "joined groups"), rows)
    if products["examples"]:
        rows = [
            (example["product"], *(example.get(split, "") for split in SPLITS))
            for example in products["examples"]
        ]
        body += f"<h3>Products in several splits <span>{products['across']:,}</span></h3>"
        body += _render_table(("product", *SPLITS), rows)
    return _render_section("Products", note, body)


def _render_table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{_escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{_format_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _format_cell(cell: int | str) -> str:
    return f"{cell:,}" if isinstance(cell, int) else _escape(cell)


def _render_attributes(attributes: list[dict[str, Any]]) -> str:
    if not attributes:
        return ""
    body = []
    for row in attributes:
        unit = f" ({_escape(row['unit'])})" if row["unit"] else ""
        share = f"known for {row['known']:.0%} of the images"
        body.append(f"<h3>{_escape(row['name'])}{unit} <span>{share}</span></h3>")
        if row["kind"] == "categorical":
            values = sorted(row["values"].items(), key=lambda pair: -pair[1])[:MAX_VALUES]
            body.append(_render_bars((name, [count], f"{count:,}") for name, count in values))
        elif row["range"]:
            low, lower, median, upper, high = (f"{number:g}" for number in row["range"])
            body.append(
                f'<p class="note">from {low} to {high}; half of them between {lower} and {upper}; '
                f"median {median}</p>"
            )
    return _render_section("Attributes", "Other data on the products.", "".join(body))


def _render_sizes(sizes: dict[str, Any]) -> str:
    note = (
        f"Shorter side in pixels: from {sizes['smallest']} to {sizes['largest']}, median "
        f"{sizes['median']}. {sizes['square']:.0%} are square."
    )
    rows = [(name, [count], f"{count:,}") for name, count in sizes["shorter_side"].items()]
    return _render_section("Original sizes", note, _render_bars(rows))


def _render_background(background: dict[str, Any]) -> str:
    colour = (background["colour"] * 3)[:3]
    style = f"background:rgb({','.join(map(str, colour))})"
    note = (
        f'Median colour <i class="swatch" style="{style}"></i> '
        f"{' '.join(map(str, background['colour']))}. Images with a white border: "
        f"{background['all_white']:,}. The bars count images by the white share of their border."
    )
    rows = [(name, [count], f"{count:,}") for name, count in background["white_border"].items()]
    return _render_section("Background", note, _render_bars(rows))


def _render_duplicates(store: Store, summary: dict[str, Any]) -> str:
    exact, near = summary["duplicates"], summary["near_duplicates"]
    if not exact["groups"] and not near["pairs"]:
        return ""
    at_least = "" if near["complete"] else "at least "
    note = (
        f"Exact copies of another image: {exact['pictures']:,}. Pairs that look nearly the same: "
        f"{at_least}{near['pairs']:,}, {near['across']:,} of them across splits. "
        "All are used; remove those that you do not want twice."
    )
    body = []
    if exact["rows"]:
        body.append("<h3>Exact copies</h3>" + _render_pairs(store, exact["rows"], exact["names"]))
    if near["rows"]:
        pairs = _render_pairs(store, near["rows"], near["names"])
        body.append("<h3>Nearly the same</h3>" + pairs)
    return _render_section("Duplicates", note, "".join(body))


def _render_pairs(store: Store, rows: list[list[int]], names: list[list[str]]) -> str:
    """The first two images of each group of `rows`."""
    cells = []
    for ids, group_names in list(zip(rows, names, strict=True))[:MAX_PAIRS]:
        pair = store.fetch(np.array(ids[:2]))["image"]
        images = "".join(map(_render_image, pair, group_names))
        more = f" and {len(ids) - 2} more" if len(ids) > 2 else ""
        label = f"{_escape(group_names[0])}<br>{_escape(group_names[1])}{more}"
        cells.append(f'<div class="pair">{images}<small>{label}</small></div>')
    return f'<div class="pairs">{"".join(cells)}</div>'


def _render_refusals(refusals: dict[str, Any], left_out_names: list[str]) -> str:
    if not refusals["total"] and not left_out_names:
        return ""
    rows = [(name, [count], f"{count:,}") for name, count in refusals["kinds"].items()]
    lines = [(row["name"], row["reason"]) for row in refusals["examples"]]
    lines += [(name, "left out: the same as an image of another split") for name in left_out_names]
    note = f"The first {len(lines)} by name." if refusals["total"] > len(lines) else ""
    body = _render_bars(rows) + _render_table(("file", "reason"), lines)
    return _render_section("Refused", note, body)
