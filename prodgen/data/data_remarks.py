"""The remarks of a data report: sentences on what needs attention."""

from __future__ import annotations

from typing import Any

from prodgen.core.spelling import find_variants
from prodgen.data.product_groups import MAX_JOINED_PRODUCTS
from prodgen.data.store import SPLITS

MIN_CLASS_SIZE = 20  # training images; the report warns of smaller classes
MAX_CLASS_RATIO = 20  # of the largest class to the smallest; the report warns of larger ratios
MIN_IMAGES = 1000  # the report warns of fewer
MAX_NAMES = 12  # in a remark


def make_remarks(summary: dict[str, Any]) -> list[str]:
    """The remarks on a report's numbers, the most serious first."""
    remarks = []
    sizes = summary["sizes"]
    num_stored = sum(summary["counts"][name] for name in SPLITS)
    if summary["refused"]["total"]:
        remarks.append(f"{_count(summary['refused']['total'], 'file')} refused; see why below")
    if summary["counts"]["left_out"]:
        remarks.append(
            f"{_count(summary['counts']['left_out'], 'image')} left out: the same as an image of "
            "another split"
        )
    if num_stored < MIN_IMAGES:
        remarks.append(f"{num_stored} images are few: expect blurry or repetitive results")
    if summary["unlabelled"]:
        verb = "has" if summary["unlabelled"] == 1 else "have"
        remarks.append(f"{_count(summary['unlabelled'], 'image')} {verb} no category")
    remarks += _remark_on_classes(summary["classes"])
    if summary["duplicates"]["pictures"]:
        remarks.append(
            f"{_count(summary['duplicates']['pictures'], 'exact copy', 'exact copies')}; "
            "a copy is always in the same split as its original"
        )
    remarks += _remark_on_splits(summary)
    if sizes["enlarged"]:
        count = _count(sizes["enlarged"], "image")
        remarks.append(f"{count} smaller than {summary['resolution']} px, enlarged")
    for row in summary["attributes"]:
        if row["known"] < 0.5:
            remarks.append(f"{row['name']} is known for only {row['known']:.0%} of the images")
    return remarks


def _remark_on_classes(classes: list[dict[str, Any]]) -> list[str]:
    """Remarks on classes that are small, without training images, unequal, or spelt in two ways."""
    remarks = []
    absent_names = [row["name"] for row in classes if not row["train"]]
    if absent_names:
        verb = "has" if len(absent_names) == 1 else "have"
        count = _count(len(absent_names), "category", "categories")
        remarks.append(
            f"{count} {verb} no training image: {_list(absent_names)}; a run refuses to draw them"
        )
    small = [row["name"] for row in classes if 0 < row["train"] < MIN_CLASS_SIZE]
    if small:
        remarks.append(f"classes with fewer than {MIN_CLASS_SIZE} training images: {_list(small)}")
    totals = [row["total"] for row in classes if row["total"]]
    if totals and max(totals) > MAX_CLASS_RATIO * min(totals):
        ratio = f"{max(totals) / min(totals):.0f}"
        remarks.append(f"the largest class has {ratio} times as many images as the smallest")
    counts = {row["name"]: row["total"] for row in classes}
    for rare, frequent in find_variants(counts)[:MAX_NAMES]:
        remarks.append(
            f"the categories {rare!r} ({counts[rare]}) and {frequent!r} ({counts[frequent]}) may "
            "be the same; each is a category of its own"
        )
    return remarks


def _remark_on_splits(summary: dict[str, Any]) -> list[str]:
    """Remarks on what lies across splits, and on splits that are empty."""
    remarks = []
    products, near = summary["products"], summary["near_duplicates"]
    official = products["official_splits"]
    # A product in several splits makes the held-out images easier than new ones.
    if products["has_groups"] and products["across"]:
        verb = "has" if products["across"] == 1 else "have"
        hint = "; --config.data.split_by=product keeps each in one"
        if official:
            hint = "; the splits of the source are not changed"
        names = _list([example["product"] for example in products["examples"]], products["across"])
        count = _count(products["across"], "product")
        remarks.append(f"{count} {verb} images in several splits: {names}{hint}")
    if near["held_out"]:
        example = ", such as " + " and ".join(near["names"][0]) if official else ""
        remarks.append(
            f"{_count(near['held_out'], 'held-out image')} with a near duplicate in another "
            f"split{example}: scores will be slightly too good"
        )
    if products["joins_skipped"]:
        count = _count(products["joins_skipped"], "pair")
        remarks.append(
            f"{count} of products that look alike not joined: at most {MAX_JOINED_PRODUCTS} "
            "products are"
        )
    if products["only_of_a_category"]:
        count = _count(products["only_of_a_category"], "product")
        verb = "stays" if products["only_of_a_category"] == 1 else "stay"
        remarks.append(f"{count} {verb} in training: no other product has the category")
    empty = [
        name
        for name, share in products["requested"].items()
        if share and name not in official and not summary["counts"][name]
    ]
    if empty:
        remarks.append(
            f"no image is held out for {' and '.join(empty)}: there are too few products"
            + (" of each category" if products["only_of_a_category"] else "")
        )
    return remarks


def _list(names: list[str], total: int | None = None) -> str:
    """The first of `total` names, and how many more there are."""
    total = len(names) if total is None else total
    more = f" and {total - MAX_NAMES:,} more" if total > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
