"""The data report: what a set of images holds, what was refused and why, what needs attention.

`data_report.json` has the numbers, `data_report.html` shows them (data_page.py). Both follow from
the store alone, without dates, so that preparing the same data again gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

import numpy as np

from prodgen.data import data_page, duplicates
from prodgen.data.source import SourceDescription
from prodgen.data.store import SPLITS, Store

MAX_NAMES = 300  # of refused or left-out images, and of groups of duplicates, in the report
MAX_GROUP_SIZE = 50  # copies of one image that the report names
SIZE_EDGES = (64, 128, 256, 512, 1024, 2048)  # pixels of the shorter side
# Near duplicates differ by at most so many grey levels, over their 64 cells on average and at most.
# Above, a print or a pocket may be another one.
MAX_MEAN_DIFFERENCE = 5.0
MAX_CELL_DIFFERENCE = 32
MIN_WHITE_BORDER = 0.98  # white fraction from which a border counts as all white
MIN_CLASS_SIZE = 20  # training images; the report warns of smaller classes
MAX_CLASS_RATIO = 20  # of the largest class to the smallest; the report warns of larger ratios
MIN_IMAGES = 1000  # the report warns of fewer
READ_SIZE = 1024  # images read from the store at a time


@dataclasses.dataclass(frozen=True)
class ReportInputs:
    """Results of preparing that the store does not hold; arrays have one row a stored image.

    refusals: (name, reason), the reason's kind before a colon. left_out_names: images whose content
    is also in an official held-out split. original_size: int [N, 2], height and width in pixels.
    white_fraction: float [N], share of white border pixels. difference_hash: uint64 [N]. notes: the
    source's remarks. description: how the source was read.
    """

    title: str
    refusals: list[tuple[str, str]]
    left_out_names: list[str]
    original_size: np.ndarray
    white_fraction: np.ndarray
    difference_hash: np.ndarray
    notes: list[str]
    description: SourceDescription | None = None


def write(store: Store, inputs: ReportInputs) -> None:
    """Write data_report.json and data_report.html into the store's folder."""
    summary = summarise(store, inputs)
    text = json.dumps(summary, indent=1)
    (store.path / "data_report.json").write_text(text + "\n", encoding="utf-8")
    page = data_page.render_page(store, summary)
    (store.path / "data_report.html").write_text(page, encoding="utf-8")


def summarise(store: Store, inputs: ReportInputs) -> dict[str, Any]:
    """The report as JSON."""
    counts, _ = np.histogram(inputs.white_fraction, np.linspace(0, 1, 6))
    white_ranges = ("0-20 %", "20-40 %", "40-60 %", "60-80 %", "80-100 %")
    # Kinds of refusal reasons, and the first refused images by name.
    kinds = Counter(reason.split(":")[0] for _, reason in inputs.refusals)
    examples = [
        {"name": make_printable(name), "reason": make_printable(reason)}
        for name, reason in inputs.refusals[:MAX_NAMES]
    ]
    summary = {
        "title": make_printable(inputs.title),
        "key": store.key,
        "resolution": store.spec.resolution,
        "channels": store.spec.channels,
        "masks": bool(store.meta["masks"]),
        "counts": store.counts,
        "sizes": _summarise_sizes(inputs.original_size, store.spec.resolution),
        "background": {
            "colour": store.background.tolist(),
            "mean_white": round(float(inputs.white_fraction.mean()), 4),
            "all_white": int((inputs.white_fraction >= MIN_WHITE_BORDER).sum()),
            "white_border": dict(zip(white_ranges, counts.tolist(), strict=True)),
        },
        "classes": _summarise_classes(store),
        "unlabelled": int((store.label < 0).sum()) if store.spec.classes else 0,
        "attributes": _summarise_attributes(store),
        "duplicates": _summarise_exact_duplicates(store),
        "near_duplicates": _summarise_near_duplicates(store, inputs.difference_hash),
        "refused": {
            "total": len(inputs.refusals),
            "kinds": dict(kinds.most_common()),
            "examples": examples,
        },
        "left_out": [make_printable(name) for name in inputs.left_out_names[:MAX_NAMES]],
        "notes": [make_printable(note) for note in inputs.notes],
        "reading": _summarise_reading(inputs.description),
    }
    return summary | {"remarks": _make_remarks(summary)}


def _summarise_reading(description: SourceDescription | None) -> dict[str, Any] | None:
    """How the source was read, with names made printable."""
    if description is None:
        return None
    return {
        "title": description.title,
        "sentences": [make_printable(sentence) for sentence in description.sentences],
        "tree": [make_printable(line) for line in description.tree],
        "columns": [
            {name: make_printable(text) for name, text in dataclasses.asdict(column).items()}
            for column in description.columns
        ],
    }


def make_printable(name: str) -> str:
    """A name fit for reading: bytes that are not UTF-8 and control characters as escapes."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _summarise_sizes(original_size: np.ndarray, resolution: int) -> dict[str, Any]:
    """Original sizes: a histogram of the shorter side, and the extremes."""
    shorter, longer = original_size.min(axis=1), original_size.max(axis=1)
    edges = (0, *SIZE_EDGES, np.inf)
    names = [f"below {SIZE_EDGES[0]}"]
    names += [f"{a} to {b - 1}" for a, b in zip(SIZE_EDGES[:-1], SIZE_EDGES[1:], strict=True)]
    names += [f"{SIZE_EDGES[-1]} and more"]
    counts, _ = np.histogram(shorter, edges)
    return {
        "shorter_side": dict(zip(names, counts.tolist(), strict=True)),
        "smallest": int(shorter.min()),
        "median": int(np.median(shorter)),
        "largest": int(shorter.max()),
        "enlarged": int((longer < resolution).sum()),
        "square": float((shorter == longer).mean()),
    }


def _summarise_classes(store: Store) -> list[dict[str, Any]]:
    """Images of each class in each split, in label order."""
    rows = []
    for label, name in enumerate(store.spec.classes):
        split = store.split[store.label == label]
        counts = {each: int((split == index).sum()) for index, each in enumerate(SPLITS)}
        rows.append({"name": make_printable(name), "total": len(split)} | counts)
    return rows


def _summarise_attributes(store: Store) -> list[dict[str, Any]]:
    """Each attribute: how often it is known, and the counts of its values or its range."""
    rows = []
    for attribute in store.spec.attributes:
        attribute_slice = store.spec.column_slices()[attribute.name]
        known = store.known[:, attribute_slice].all(axis=1)
        columns = store.attributes[known, attribute_slice]
        row = {
            "name": make_printable(attribute.name),
            "kind": attribute.kind,
            "unit": make_printable(attribute.unit),
            "known": round(float(known.mean()), 4),
        }
        if attribute.kind == "categorical":
            counts = columns.sum(axis=0).astype(int).tolist()
            names = [make_printable(value) for value in attribute.values]
            row["values"] = dict(zip(names, counts, strict=True))
        elif not len(columns):
            row["range"] = None
        else:
            # Back to the attribute's own unit: degrees in [0, 360), or the number itself.
            if attribute.kind == "angle":
                numbers = np.rad2deg(np.arctan2(columns[:, 0], columns[:, 1])) % 360
            else:
                numbers = columns[:, 0].astype(np.float64) * attribute.std + attribute.mean
            quartiles = np.percentile(numbers, [0, 25, 50, 75, 100])
            row["range"] = [float(f"{number:.6g}") for number in quartiles]
        rows.append(row)
    return rows


def _summarise_exact_duplicates(store: Store) -> dict[str, Any]:
    """Images whose prepared pixels are the same, byte for byte."""
    unique, inverse, counts = np.unique(store.hash, axis=0, return_inverse=True, return_counts=True)
    copied_hashes = np.flatnonzero(counts > 1)
    # Sorted by hash, the rows of a group are next to each other.
    order = np.argsort(inverse.reshape(-1), kind="stable")
    starts = np.cumsum(counts) - counts
    groups = [order[starts[i] : starts[i] + counts[i]] for i in copied_hashes[:MAX_NAMES]]
    groups = [group[:MAX_GROUP_SIZE] for group in groups]
    return {
        "pictures": int((counts[copied_hashes] - 1).sum()),
        "groups": len(copied_hashes),
        "unique": len(unique),
        "rows": [group.tolist() for group in groups],
        "names": [[make_printable(name) for name in store.names(group)] for group in groups],
    }


def _summarise_near_duplicates(store: Store, difference_hash: np.ndarray) -> dict[str, Any]:
    """Pairs that look the same without being equal; `across` of them are in different splits.

    held_out: validation and test images with a near duplicate in another split.
    """
    # uint8 [N, 64 C]: the means of 8 x 8 cells of every image, read from the store in order.
    blocks = []
    for start in range(0, store.size, READ_SIZE):
        images = store.fetch(np.arange(start, min(start + READ_SIZE, store.size)))["image"]
        means = duplicates.average_cells(duplicates.average_cells(images, 8, axis=1), 8, axis=2)
        blocks.append(means.round().astype(np.uint8).reshape(len(images), -1))
    cells = np.concatenate(blocks)

    def is_pair(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        difference = np.abs(cells[left].astype(np.int16) - cells[right])
        is_equal = (store.hash[left] == store.hash[right]).all(axis=1)
        is_near = difference.mean(axis=1) <= MAX_MEAN_DIFFERENCE
        return is_near & (difference.max(axis=1) <= MAX_CELL_DIFFERENCE) & ~is_equal

    pairs, complete = duplicates.find_near_pairs(difference_hash, is_pair)
    # The report lists the nearest pairs first.
    left, right = pairs[:, 0], pairs[:, 1]
    difference = np.abs(cells[left].astype(np.int16) - cells[right]).mean(axis=1)
    nearest = pairs[np.argsort(difference, kind="stable")][:MAX_NAMES]
    across = store.split[left] != store.split[right]
    across_ids = np.unique(pairs[across])
    return {
        "pairs": len(pairs),
        "pictures": len(np.unique(pairs)),
        "across": int(across.sum()),
        "held_out": int((store.split[across_ids] > 0).sum()),
        "complete": complete,
        "rows": nearest.tolist(),
        "names": [[make_printable(name) for name in store.names(pair)] for pair in nearest],
    }


def _make_remarks(summary: dict[str, Any]) -> list[str]:
    """Sentences on what needs attention, the most serious first."""
    remarks = []
    near, sizes, classes = summary["near_duplicates"], summary["sizes"], summary["classes"]
    num_stored = sum(summary["counts"][name] for name in SPLITS)
    if summary["refused"]["total"]:
        remarks.append(f"{_count(summary['refused']['total'], 'file')} refused; see why below")
    if summary["counts"]["left_out"]:
        remarks.append(
            f"{_count(summary['counts']['left_out'], 'image')} left out: the same as an official "
            "test or validation image"
        )
    if num_stored < MIN_IMAGES:
        remarks.append(f"{num_stored} images are few: expect blurry or repetitive results")
    small = [row["name"] for row in classes if 0 < row["train"] < MIN_CLASS_SIZE]
    if small:
        names = ", ".join(small[:12])
        remarks.append(f"classes with fewer than {MIN_CLASS_SIZE} training images: {names}")
    totals = [row["total"] for row in classes if row["total"]]
    if totals and max(totals) > MAX_CLASS_RATIO * min(totals):
        ratio = f"{max(totals) / min(totals):.0f}"
        remarks.append(f"the largest class has {ratio} times as many images as the smallest")
    if summary["duplicates"]["pictures"]:
        remarks.append(
            f"{_count(summary['duplicates']['pictures'], 'exact copy', 'exact copies')}; "
            "a copy is always in the same split as its original"
        )
    if near["held_out"]:
        remarks.append(
            f"{_count(near['held_out'], 'held-out image')} with a near duplicate in another "
            "split: scores will be slightly too good"
        )
    if sizes["enlarged"]:
        count = _count(sizes["enlarged"], "image")
        remarks.append(f"{count} smaller than {summary['resolution']} px, enlarged")
    for row in summary["attributes"]:
        if row["known"] < 0.5:
            remarks.append(f"{row['name']} is known for only {row['known']:.0%} of the images")
    return remarks


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
