"""The data report: what a set of pictures holds, what was refused and why, what deserves a look.

`data_report.json` has the numbers, `data_report.html` shows them (data_page.py). Both follow from
the store alone, without dates, so that preparing the same data again gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

import numpy as np

from prodgen.core.types import Attribute
from prodgen.data import data_page, duplicates
from prodgen.data.store import SPLITS, Store

MOST_NAMES = 300  # of refused or left-out pictures, and of groups of duplicates, in the report
SIZE_EDGES = (64, 128, 256, 512, 1024, 2048)  # pixels of the shorter side
ALIKE = 5.0  # grey levels by which the 64 cells of near duplicates differ on average,
MOST_APART = 32  # and at most: above, a print or a pocket is another one
FEW = 20  # training pictures of a class, below which the report warns
UNEVEN = 20  # ratio of the largest class to the smallest, above which the report warns


@dataclasses.dataclass(frozen=True)
class Findings:
    """What preparing has found that the store does not hold; arrays have one row a stored picture.

    refused: (name, reason), the reason's kind before a colon. left_out: names of pictures whose
    content is held out officially. original: int [N, 2], height and width. white: float [N], share
    of white border pixels. difference: uint64 [N], difference hashes. notes: the source's remarks.
    """

    title: str
    refused: list[tuple[str, str]]
    left_out: list[str]
    original: np.ndarray
    white: np.ndarray
    difference: np.ndarray
    notes: list[str]


def write(store: Store, findings: Findings) -> None:
    """Put data_report.json and data_report.html into the store's folder."""
    summary = summarise(store, findings)
    text = json.dumps(summary, indent=1)
    (store.path / "data_report.json").write_text(text + "\n", encoding="utf-8")
    (store.path / "data_report.html").write_text(
        data_page.render_page(store, summary), encoding="utf-8"
    )


def summarise(store: Store, findings: Findings) -> dict[str, Any]:
    """The report as JSON."""
    summary = {
        "title": make_printable(findings.title),
        "key": store.key,
        "resolution": store.spec.resolution,
        "channels": store.spec.channels,
        "masks": bool(store.meta["masks"]),
        "counts": store.counts,
        "sizes": _sizes(findings.original, store.spec.resolution),
        "background": _background(store, findings.white),
        "classes": _classes(store),
        "unlabelled": int((store.label < 0).sum()) if store.spec.classes else 0,
        "attributes": _attributes(store),
        "duplicates": _exact(store),
        "near_duplicates": _near(store, findings.difference),
        "refused": _refused(findings.refused),
        "left_out": [make_printable(name) for name in findings.left_out[:MOST_NAMES]],
        "notes": [make_printable(note) for note in findings.notes],
    }
    return summary | {"remarks": _remarks(summary)}


def make_printable(name: str) -> str:
    """A name fit for reading: bytes that are not UTF-8 and control characters as escapes."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode()
                   for one in text)  # fmt: skip


def _sizes(original: np.ndarray, resolution: int) -> dict[str, Any]:
    """How large the pictures were: a histogram of the shorter side, and the extremes."""
    short, long = original.min(axis=1), original.max(axis=1)
    edges = (0, *SIZE_EDGES, np.inf)
    names = [f"below {SIZE_EDGES[0]}"]
    names += [f"{a} to {b - 1}" for a, b in zip(SIZE_EDGES[:-1], SIZE_EDGES[1:], strict=True)]
    names += [f"{SIZE_EDGES[-1]} and more"]
    counts, _ = np.histogram(short, edges)
    return {
        "shorter_side": dict(zip(names, counts.tolist(), strict=True)),
        "smallest": int(short.min()),
        "median": int(np.median(short)),
        "largest": int(short.max()),
        "enlarged": int((long < resolution).sum()),
        "square": float((short == long).mean()),
    }


def _background(store: Store, white: np.ndarray) -> dict[str, Any]:
    """colour: the set's median; mean_white: share of white border pixels over all pictures."""
    counts, _ = np.histogram(white, np.linspace(0, 1, 6))
    names = ("0-20 %", "20-40 %", "40-60 %", "60-80 %", "80-100 %")
    return {
        "colour": store.background.tolist(),
        "mean_white": round(float(white.mean()), 4),
        "all_white": int((white >= 0.98).sum()),
        "white_border": dict(zip(names, counts.tolist(), strict=True)),
    }


def _classes(store: Store) -> list[dict[str, Any]]:
    """Pictures of each class in each split, in label order."""
    rows = []
    for label, name in enumerate(store.spec.classes):
        split = store.split[store.label == label]
        counts = {each: int((split == index).sum()) for index, each in enumerate(SPLITS)}
        rows.append({"name": make_printable(name), "total": len(split)} | counts)
    return rows


def _attributes(store: Store) -> list[dict[str, Any]]:
    """Each attribute: how often it is known, and its values or its range."""
    rows = []
    for attribute in store.spec.attributes:
        where = store.spec.slices()[attribute.name]
        known = store.known[:, where].all(axis=1)
        row = {
            "name": make_printable(attribute.name),
            "kind": attribute.kind,
            "unit": make_printable(attribute.unit),
            "known": round(float(known.mean()), 4),
        }
        rows.append(row | _values(attribute, store.attributes[known, where]))
    return rows


def _values(attribute: Attribute, columns: np.ndarray) -> dict[str, Any]:
    """What the known columns, float [n, c], say: counts a value, or five numbers of a range."""
    if attribute.kind == "categorical":
        counts = columns.sum(axis=0).astype(int).tolist()
        names = [make_printable(value) for value in attribute.values]
        return {"values": dict(zip(names, counts, strict=True))}
    if not len(columns):
        return {"range": None}
    if attribute.kind == "angle":
        numbers = np.rad2deg(np.arctan2(columns[:, 0], columns[:, 1])) % 360
    else:
        numbers = columns[:, 0].astype(np.float64) * attribute.std + attribute.mean
    five = np.percentile(numbers, [0, 25, 50, 75, 100])
    return {"range": [float(f"{number:.6g}") for number in five]}


def _exact(store: Store) -> dict[str, Any]:
    """Pictures whose prepared pixels are the same, byte for byte."""
    unique, inverse, counts = np.unique(store.hash, axis=0, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts > 1)
    order = np.argsort(inverse.reshape(-1), kind="stable")
    starts = np.cumsum(counts) - counts
    groups = [order[starts[one] : starts[one] + counts[one]] for one in repeated[:MOST_NAMES]]
    return {
        "pictures": int((counts[repeated] - 1).sum()),
        "groups": len(repeated),
        "unique": len(unique),
        "rows": [group[:50].tolist() for group in groups],
        "names": [[make_printable(name) for name in store.names(group[:50])] for group in groups],
    }


def _near(store: Store, difference: np.ndarray) -> dict[str, Any]:
    """Pairs that look the same without being equal; `across` of them lie in different splits.

    held_out: validation and test pictures with a near duplicate in another split.
    """
    cells = _cells(store)

    def same(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        apart = np.abs(cells[left].astype(np.int16) - cells[right])
        equal = (store.hash[left] == store.hash[right]).all(axis=1)
        return (apart.mean(axis=1) <= ALIKE) & (apart.max(axis=1) <= MOST_APART) & ~equal

    pairs, complete = duplicates.find_near_pairs(difference, same)
    apart = np.abs(cells[pairs[:, 0]].astype(np.int16) - cells[pairs[:, 1]]).mean(axis=1)
    closest = pairs[np.argsort(apart, kind="stable")][:MOST_NAMES]
    across = store.split[pairs[:, 0]] != store.split[pairs[:, 1]]
    beside = np.unique(pairs[across])
    return {
        "pairs": len(pairs),
        "pictures": len(np.unique(pairs)),
        "across": int(across.sum()),
        "held_out": int((store.split[beside] > 0).sum()),
        "complete": complete,
        "rows": closest.tolist(),
        "names": [[make_printable(name) for name in store.names(pair)] for pair in closest],
    }


def _cells(store: Store) -> np.ndarray:
    """uint8 [N, 64 C]: the means of 8 x 8 cells of every picture, read from the store in order."""
    blocks = []
    for start in range(0, store.size, 1024):
        pictures = store.fetch(np.arange(start, min(start + 1024, store.size)))["image"]
        cells = duplicates.average_cells(duplicates.average_cells(pictures, 8, axis=1), 8, axis=2)
        blocks.append(cells.round().astype(np.uint8).reshape(len(pictures), -1))
    return np.concatenate(blocks)


def _refused(refused: list[tuple[str, str]]) -> dict[str, Any]:
    """How many pictures were refused, by kind of reason, and the first ones by name."""
    kinds = Counter(reason.split(":")[0] for _, reason in refused)
    return {
        "total": len(refused),
        "kinds": dict(kinds.most_common()),
        "examples": [
            {"name": make_printable(name), "reason": make_printable(reason)}
            for name, reason in refused[:MOST_NAMES]
        ],
    }


def _remarks(summary: dict[str, Any]) -> list[str]:
    """What deserves a look, in plain words, the gravest first."""
    remarks = []
    near, sizes, classes = summary["near_duplicates"], summary["sizes"], summary["classes"]
    stored = sum(summary["counts"][name] for name in SPLITS)
    if summary["refused"]["total"]:
        remarks.append(f"{_count(summary['refused']['total'], 'file')} refused; see why below")
    if summary["counts"]["left_out"]:
        remarks.append(
            f"{_count(summary['counts']['left_out'], 'picture')} left out: the same as an official "
            "test or validation picture"
        )
    if stored < 1000:
        remarks.append(f"{stored} pictures are few: expect blurry or repetitive results")
    few = [one["name"] for one in classes if 0 < one["train"] < FEW]
    if few:
        remarks.append(f"classes with fewer than {FEW} training pictures: {', '.join(few[:12])}")
    totals = [one["total"] for one in classes if one["total"]]
    if totals and max(totals) > UNEVEN * min(totals):
        remarks.append(f"the largest class has {max(totals) / min(totals):.0f} times the smallest")
    if summary["duplicates"]["pictures"]:
        remarks.append(
            f"{_count(summary['duplicates']['pictures'], 'exact copy', 'exact copies')}; "
            "a copy always shares its original's split"
        )
    if near["held_out"]:
        remarks.append(
            f"{_count(near['held_out'], 'held-out picture')} with a near duplicate in another "
            "split: scores will be a little too good"
        )
    if sizes["enlarged"]:
        count = _count(sizes["enlarged"], "picture")
        remarks.append(f"{count} smaller than {summary['resolution']} px, enlarged")
    for one in summary["attributes"]:
        if one["known"] < 0.5:
            remarks.append(f"{one['name']} is known for only {one['known']:.0%} of the pictures")
    return remarks


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
