"""An evaluation.json as sections of an HTML page: tables with confidence intervals, and text.

Nothing is measured here.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

from prodgen.report.tables import build_table

Row = Mapping[str, Any]
DISTANCES = {  # the metric -> (description, whether less or more is better, digits)
    "frechet": ("Frechet distance", "less", 2),
    "kernel": ("Kernel distance", "less", 4),
    "precision": ("Precision: samples that lie among real images", "more", 3),
    "recall": ("Recall: real images that lie among samples", "more", 3),
    "density": ("Density: how deep among real images samples lie", "more", 2),
    "coverage": ("Coverage: real images that have a sample near them", "more", 3),
}
SPLITS = {  # split_by -> what it says about the held-out images
    "product": "The split was by product: no product has images on both sides, held out and "
    "in training.",
    "image": "The split was by image: a product may have images on both sides, held out and in "
    "training.",
}
RECONSTRUCTION_METRICS = {  # the metric -> (description, unit, digits)
    "psnr": ("PSNR", "dB", 2),
    "ssim": ("SSIM", "", 3),
    "lpips": ("LPIPS (less is better)", "", 3),
    "bits_per_dim": ("Bits per dimension, given the conditions (less is better)", "", 3),
}
PACKSHOT_METRICS = {  # the metric -> (description, unit, digits)
    "shown": ("Images that show a product", "share", 2),
    "white_mean": ("Background, from white", "levels of 255", 1),
    "evenness": ("Background, unevenness", "levels", 2),
    "fill": ("Frame filled by the product's longer side", "share", 2),
    "area": ("Frame covered by the product", "share", 2),
    "off_centre": ("Off centre", "share of the side", 3),
    "halo": ("Halo at the edge", "levels", 1),
    "blur": ("Softness of edges", "pixels", 2),
    "palette": ("Palette, from that of real images", "CIEDE2000", 1),
    "colour": ("Colour, from the one of the conditions", "CIEDE2000", 1),
}


def build_sections(evaluation: Mapping[str, Any]) -> list[str]:
    """The sections of an evaluation, without its contact sheets."""
    subject = evaluation["subject"]
    sets = subject["sets"]
    sizes = f"{len(sets)} sets of {sets[0]:,} samples" if len(sets) > 1 else f"{sets[0]:,} samples"
    title = (
        f"{html.escape(subject['name'])}: {sizes} against {subject['real']:,} held-out images "
        f"({subject['split']} split)"
    )
    verdict = html.escape(evaluation["memorisation"]["verdict"])
    return [
        f"<h2>Evaluation</h2><p class=sub>{title}</p>",
        *_describe_images(subject),
        "<p>The real baseline is the value that real training images get in place of the samples: "
        "no distance can be expected to fall below it. Two numbers are comparable only if both "
        "runs were evaluated with the same extractor, the same images and as many of them.</p>",
        _describe_classifier(evaluation["classifier"], subject["data"]),
        *(_build_distances(name, rows) for name, rows in evaluation["distances"].items()),
        _build_condition_accuracy(evaluation["condition_accuracy"]),
        _build_reconstruction(evaluation["reconstruction"]),
        _build_packshots(evaluation["packshots"]),
        f"<h2>Copies of training images</h2><p>{verdict}</p>",
    ]


def _describe_images(subject: Row) -> Iterator[str]:
    """How the data were split, how images were fitted, what was left out, and the cautions.

    An older evaluation lacks some of it.
    """
    if "split_by" in subject:
        yield f"<p class=sub>{SPLITS[subject['split_by']]}</p>"
    sides = {name: subject[name] for name in ("images", "reference") if name in subject}
    if "images" in sides:
        images = sides["images"]
        sizes = [f"{width} x {height}" for height, width in (images["smallest"], images["largest"])]
        rule = f"Each was fitted: {images['fitting']}." if images["fitting"] else ""
        text = f"The images have {' to '.join(dict.fromkeys(sizes))} pixels. {rule}"
        yield f"<p class=sub>{html.escape(text)}</p>"
    for caution in subject.get("cautions", ()):
        yield f"<p class=note>{html.escape(caution[:1].upper() + caution[1:])}.</p>"
    for name, side in sides.items():
        files = [(file["name"], file["reason"]) for file in side["left_out"]["files"]]
        if files:
            summary = f"Files of the {name} that were left out: {side['left_out']['total']}"
            table = build_table(files, ("file", "reason"))
            yield f"<details><summary>{summary}</summary>{table}</details>"


def build_cards(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The few numbers for the top of the page: (description, value)."""
    cards = []
    for name, rows in evaluation["distances"].items():
        if not name.startswith("pixels"):
            value, baseline = (
                _format_number(rows["frechet"][key], 2) for key in ("value", "real_baseline")
            )
            extractor = name.partition("-")[0]
            cards.append((f"Frechet distance, {extractor}; real images get {baseline}", value))
    if "category" in evaluation["condition_accuracy"]:
        accuracy = evaluation["condition_accuracy"]["category"]
        cards.append(("Condition accuracy, test", f"{accuracy['value']:.1%}"))
    cards.append(("Samples that are copies", f"{evaluation['memorisation']['copies']:.1%}"))
    return cards


def _describe_classifier(record: Row, data: str) -> str:
    """Which labels the reference classifier was trained on, and its held-out accuracy."""
    owner = "the data's own labels" if record["data"] == data else "the embedded catalogue's labels"
    text = (
        f"The reference classifier was trained on {owner}, with a seed that training has not used"
    )
    if "accuracy" in record:
        text += f". Its accuracy on held-out images is {record['accuracy']:.1%}"
    return f"<p class=sub>{text}.</p>"


def _build_distances(extractor: str, numbers: Mapping[str, Row]) -> str:
    """The distances between samples and real images in one extractor's features."""
    rows, notes = [], set()
    for metric, (description, better, digits) in DISTANCES.items():
        number = numbers[metric]
        baseline = {
            "value": number.get("real_baseline"),
            "low": number.get("real_baseline_low"),
            "high": number.get("real_baseline_high"),
        }
        cells = (_format_interval(values, digits) for values in (number, baseline))
        rows.append((f"{description} ({better} is better)", *cells))
        if number["caution"]:
            notes.add(number["caution"])
    if _is_used_in_training(numbers["frechet"]):
        notes.add("training has used this extractor: its numbers do not rank the run")
    table = build_table(rows, ("", "value (95 % interval)", "real baseline"))
    paragraphs = "".join(f"<p class=note>{html.escape(note)}.</p>" for note in sorted(notes))
    return f"<h3>Distances in features of {html.escape(extractor)}</h3>{table}{paragraphs}"


def _build_condition_accuracy(numbers: Mapping[str, Row]) -> str:
    if not numbers:
        return ""
    rows = []
    for name, number in numbers.items():
        is_share = number["kind"] == "share"
        description = f"{name}: accuracy" if is_share else f"{name}: mean error"
        if number["worst"]:
            description += f" (lowest: {number['worst'][0]}, {number['worst'][1]:.0%})"
        digits, unit = 3 if is_share else 2, number["unit"]
        value, real = _format_interval(number, digits), _format_number(number["real"], digits)
        rows.append((description, f"{value} {unit}", f"{real} {unit}"))
    header = ("", "samples (95 % interval)", "real images, for comparison")
    return "<h3>Condition accuracy</h3>" + build_table(rows, header)


def _build_reconstruction(numbers: Mapping[str, Row]) -> str:
    if not numbers:
        return ""
    rows = []
    for name, (description, unit, digits) in RECONSTRUCTION_METRICS.items():
        if name in numbers:
            if _is_used_in_training(numbers[name]):
                description += "; training has used it, so it does not rank the run"
            rows.append((description, f"{_format_interval(numbers[name], digits)} {unit}"))
    table = build_table(rows, ("", "mean (95 % interval)"))
    return "<h3>Reconstruction of held-out images</h3>" + table


def _build_packshots(numbers: Mapping[str, Row]) -> str:
    """The medians of product-photo measures, of samples, held-out images and training images."""
    groups = ("samples", "real", "real_baseline")
    rows = []
    for name, (description, unit, digits) in PACKSHOT_METRICS.items():
        medians = [numbers[group].get(name) for group in groups]
        if medians[0] is not None or medians[2] is not None:
            cells = (_format_number(median, digits) for median in medians)
            rows.append((f"{description}, {unit}", *cells))
    header = ("medians", "samples", "held-out images", "training images")
    return "<h3>Quality as product images</h3>" + build_table(rows, header)


def _is_used_in_training(number: Row) -> bool:
    """Whether training used the extractor that a number was measured with."""
    extractor = number["measurement_spec"]["extractor"]
    return bool(extractor) and extractor["sha256"] in number["trained_with"]


def _format_interval(number: Row, digits: int) -> str:
    value = _format_number(number["value"], digits)
    if number["low"] is None:
        return value
    low, high = (_format_number(number[end], digits) for end in ("low", "high"))
    return f"{value} ({low} to {high})"


def _format_number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:z.{digits}f}"  # z: no sign for what rounds to 0
