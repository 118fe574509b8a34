"""What mode evaluate found, as sections of a page: tables with intervals and floors, words, sheets.

Reads evaluation.json and the sheets beside it; nothing is measured here.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]
DISTANCES = {  # the metric -> (words, less or more is better, digits)
    "frechet": ("Frechet distance", "less", 2),
    "kernel": ("Kernel distance", "less", 4),
    "precision": ("Precision: samples that lie among real pictures", "more", 3),
    "recall": ("Recall: real pictures that lie among samples", "more", 3),
    "density": ("Density: how deep among real pictures samples lie", "more", 2),
    "coverage": ("Coverage: real pictures that have a sample near them", "more", 3),
}
BACK = {
    "psnr": ("PSNR", "dB", 2),
    "ssim": ("SSIM", "", 3),
    "lpips": ("LPIPS (less is better)", "", 3),
    "bits_per_dim": ("Bits per dimension, given the conditions (less is better)", "", 3),
}
PACKSHOTS = {
    "shown": ("Pictures that show a product", "share", 2),
    "white_mean": ("Background, from white", "levels of 255", 1),
    "evenness": ("Background, unevenness", "levels", 2),
    "fill": ("Frame filled by the product's longer side", "share", 2),
    "area": ("Frame covered by the product", "share", 2),
    "off_centre": ("Off centre", "share of the side", 3),
    "halo": ("Halo at the edge", "levels", 1),
    "blur": ("Softness of edges", "pixels", 2),
    "palette": ("Palette, from that of real pictures", "CIEDE2000", 1),
    "colour": ("Colour, from the one asked for", "CIEDE2000", 1),
}


def sections(found: Mapping[str, Any]) -> list[str]:
    """The sections of an evaluation, without its sheets."""
    who = found["subject"]
    sets = who["sets"]
    made = f"{len(sets)} sets of {sets[0]:,} samples" if len(sets) > 1 else f"{sets[0]:,} samples"
    title = (
        f"{html.escape(who['name'])}: {made} against {who['real']:,} held-back pictures "
        f"({who['split']} split)"
    )
    return [
        f"<h2>Judged</h2><p class=sub>{title}</p>",
        "<p>The floor is what real training pictures get in the samples' place: no distance can be "
        "expected to fall below it. Numbers compare only between runs that were judged with the "
        "same extractor, the same pictures and as many of them.</p>",
        _home(found["classifier"], who["data"]),
        *(_looked(name, numbers) for name, numbers in found["distances"].items()),
        _shown(found["condition_accuracy"]),
        _given_back(found["reconstruction"]),
        _packshots(found["packshots"]),
        f"<h2>Copies of training pictures</h2><p>{html.escape(found['memorisation']['verdict'])}"
        "</p>",
    ]


def cards(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The few numbers that go to the page's top: (words, value)."""
    said = []
    for name, numbers in found["distances"].items():
        if not name.startswith("pixels"):
            value, floor = (
                _digits(numbers["frechet"][key], 2) for key in ("value", "real_baseline")
            )
            short = name.partition("-")[0]
            said.append((f"Frechet distance, {short}; real pictures get {floor}", value))
    if "category" in found["condition_accuracy"]:
        share = found["condition_accuracy"]["category"]
        said.append(("Condition accuracy, test", f"{share['value']:.1%}"))
    said.append(("Samples that are copies", f"{found['memorisation']['copies']:.1%}"))
    return said


def _looked(name: str, numbers: Mapping[str, Row]) -> str:
    rows, notes = [], set()
    for metric, (words, better, digits) in DISTANCES.items():
        number = numbers[metric]
        rows.append(
            (f"{words} ({better} is better)", _spread(number, digits), _spread(
                {name: number.get(f"real_baseline{end}") for name, end in
                 (("value", ""), ("low", "_low"), ("high", "_high"))}, digits))
        )  # fmt: skip
        if number["caution"]:
            notes.add(number["caution"])
    who = numbers["frechet"]["measurement_spec"]["extractor"]
    if who["sha256"] in numbers["frechet"]["trained_with"]:
        notes.add("training has used this extractor: its numbers do not rank the run")
    table = _table(("", "value (95 % interval)", "real baseline"), rows)
    said = "".join(f"<p class=note>{html.escape(note)}.</p>" for note in sorted(notes))
    return f"<h3>As {html.escape(name)} sees it</h3>{table}{said}"


def _shown(found: Mapping[str, Row]) -> str:
    if not found:
        return ""
    rows = []
    for name, row in found.items():
        share = row["kind"] == "share"
        words = f"{name}: shown as asked" if share else f"{name}: mean error"
        if row["worst"]:
            words += f" (least: {row['worst'][0]}, {row['worst'][1]:.0%})"
        digits = 3 if share else 2
        value, real = _spread(row, digits), _digits(row["real"], digits)
        rows.append((words, f"{value} {row['unit']}", f"{real} {row['unit']}"))
    head = ("", "samples (95 % interval)", "real pictures, for comparison")
    return "<h3>Do samples show what was asked for?</h3>" + _table(head, rows)


def _given_back(found: Mapping[str, Row]) -> str:
    if not found:
        return ""
    rows = [
        (words + _unranked(found[name]), f"{_spread(found[name], digits)} {unit}")
        for name, (words, unit, digits) in BACK.items()
        if name in found
    ]
    head = ("", "mean (95 % interval)")
    return "<h3>Held-back pictures, encoded and decoded again</h3>" + _table(head, rows)


def _unranked(number: Row) -> str:
    """A mark where training has used the extractor."""
    who = number["measurement_spec"]["extractor"]
    used = who and who["sha256"] in number["trained_with"]
    return "; training has used it, so it does not rank the run" if used else ""


def _home(record: Row, data: str) -> str:
    """On whose labels the home network was trained, and how well it knows them."""
    own = "the data's own labels" if record["data"] == data else "the embedded catalogue's labels"
    said = f"The home network was trained on {own}, with a seed that training has not used"
    if "accuracy" in record:
        said += f", and names {record['accuracy']:.1%} of held-back pictures"
    return f"<p class=sub>{said}.</p>"


def _packshots(found: Mapping[str, Row]) -> str:
    rows = [
        (f"{words}, {unit}", *(_digits(found[side].get(name), digits) for side in
                               ("samples", "real", "real_baseline")))
        for name, (words, unit, digits) in PACKSHOTS.items()
        if any(found[side].get(name) is not None for side in ("samples", "real_baseline"))
    ]  # fmt: skip
    head = ("medians", "samples", "held-back pictures", "training pictures")
    return "<h3>As product pictures</h3>" + _table(head, rows)


def _spread(number: Row, digits: int) -> str:
    value = _digits(number["value"], digits)
    if number["low"] is None:
        return value
    return f"{value} ({_digits(number['low'], digits)} to {_digits(number['high'], digits)})"


def _digits(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:z.{digits}f}"  # z: what rounds to 0 has no sign


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell.strip())}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<div class=wide><table><tr>{cells}</tr>{body}</table></div>"
