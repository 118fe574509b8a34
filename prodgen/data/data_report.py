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

from prodgen.data import data_page, data_remarks
from prodgen.data.duplicates import NearDuplicates
from prodgen.data.source import SourceDescription
from prodgen.data.splits import Splits
from prodgen.data.store import SPLITS, Store

MAX_NAMES = 300  # of refused or left-out images, and of groups of duplicates, in the report
MAX_GROUP_SIZE = 50  # copies of one image that the report names
SIZE_EDGES = (64, 128, 256, 512, 1024, 2048)  # pixels of the shorter side
MIN_WHITE_BORDER = 0.98  # white fraction from which a border counts as all white
MAX_EXAMPLES = 12  # of products and categories that the report names


@dataclasses.dataclass(frozen=True)
class ReportInputs:
    """Results of preparing that the store does not hold; arrays have one row a stored image.

    refusals: (name, reason), the reason's kind before a colon. left_out_names: images whose content
    is also in an official held-out split. original_size: int [N, 2], height and width in pixels.
    white_fraction: float [N], share of white border pixels. near: their near duplicates. split:
    their splits and products. groups: the source's name of each product, or None. notes: the
    source's remarks. description: how the source was read.
    """

    title: str
    refusals: list[tuple[str, str]]
    left_out_names: list[str]
    original_size: np.ndarray
    white_fraction: np.ndarray
    near: NearDuplicates
    split: Splits
    groups: list[str | None]
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
        "near_duplicates": _summarise_near_duplicates(store, inputs.near),
        "products": _summarise_products(store, inputs),
        "refused": {
            "total": len(inputs.refusals),
            "kinds": dict(kinds.most_common()),
            "examples": examples,
        },
        "left_out": [make_printable(name) for name in inputs.left_out_names[:MAX_NAMES]],
        "notes": [make_printable(note) for note in inputs.notes],
        "reading": _summarise_reading(inputs.description),
    }
    return summary | {"remarks": data_remarks.make_remarks(summary)}


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


def _summarise_near_duplicates(store: Store, near: NearDuplicates) -> dict[str, Any]:
    """Pairs that look the same without being equal; `across` of them are in different splits.

    held_out: validation and test images with a near duplicate in another split.
    """
    # The report lists pairs across splits first, the nearest ones first.
    across = store.split[near.pairs[:, 0]] != store.split[near.pairs[:, 1]]
    nearest = near.pairs[np.lexsort((near.difference, ~across))][:MAX_NAMES]
    across_ids = np.unique(near.pairs[across])
    return {
        "pairs": len(near.pairs),
        "pictures": len(np.unique(near.pairs)),
        "across": int(across.sum()),
        "held_out": int((store.split[across_ids] > 0).sum()),
        "complete": near.complete,
        "rows": nearest.tolist(),
        "names": [[make_printable(name) for name in store.names(pair)] for pair in nearest],
    }


def _summarise_products(store: Store, inputs: ReportInputs) -> dict[str, Any]:
    """Images, products and joined groups of each split, and the products that are in several."""
    split, products, pairs = inputs.split, inputs.split.products, inputs.near.pairs
    rows = {}
    for index, name in enumerate(SPLITS):
        members = store.split == index
        rows[name] = {
            "images": int(members.sum()),
            "products": len(np.unique(products.number[members])),
            "joined_groups": len(np.unique(products.cluster[members])),
        }
    # Products with images in more than one split: of an official split, or of one by image.
    number_and_split = np.unique(np.stack([products.number, store.split], axis=1), axis=0)
    counts = np.bincount(number_and_split[:, 0])
    examples = []
    for number in np.flatnonzero(counts > 1)[:MAX_EXAMPLES]:
        ids = np.flatnonzero(products.number == number)
        # One image of each of its splits.
        ids = ids[np.unique(store.split[ids], return_index=True)[1]]
        names = zip(store.split[ids], store.names(ids), strict=True)
        images = {SPLITS[index]: make_printable(name) for index, name in names}
        group = inputs.groups[ids[0]]
        examples.append({"product": make_printable(group or store.names(ids)[0])} | images)
    across = split.is_own[pairs].all(axis=1) & (
        store.split[pairs[:, 0]] != store.split[pairs[:, 1]]
    )
    sizes = np.bincount(np.unique(np.stack([products.cluster, products.number]), axis=1)[0])
    return {
        "split_by": split.split_by,
        "official_splits": list(split.official),
        "requested": split.shares,
        "has_groups": any(inputs.groups),
        "splits": rows,
        "joined": int((sizes > 1).sum()),
        "most_joined": int(sizes.max()),
        "joins_skipped": products.num_skipped_joins,
        "only_of_a_category": split.num_only_products,
        "near_duplicates_across_own_splits": int(across.sum()),
        "across": int((counts > 1).sum()),
        "examples": examples,
    }
