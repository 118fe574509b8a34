"""The data card of an exported folder: DATA_CARD.md, from the run's data_report.json.

The images themselves are not exported. A card names no file, no folder and no product of the user:
only numbers of the report are read, and the names of categories and attributes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from prodgen.data.store import SPLITS
from prodgen.export.markdown_text import (
    build_front_matter,
    build_table,
    escape,
    format_number,
)
from prodgen.export.weight_licences import CATALOGUE_LICENCE, UNKNOWN_LICENCE
from prodgen.metrics.measurement_spec import FITTINGS
from prodgen.model import Model

FILE_NAME = "DATA_CARD.md"
REPORT_FILE = "data_report.json"
NOT_RECORDED = "not recorded"
REFUSAL_KIND = re.compile(r"[a-z][a-z -]{0,40}")  # words of the program, never a file name
SIZE_CATEGORIES = {  # images below this number -> the Hub's name
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
    10**8: "10M<n<100M",
}
SOURCES = {  # data.source -> what it is
    "folder": "The images are a folder of the person who trained the model. They are not published "
    "with it, and this card does not say where they are.",
    "table": "The images are listed in a table of the person who trained the model. They are not "
    "published with it, and this card does not say where they are.",
    "catalogue": "The images are the embedded catalogue of prodgen: {count:,} products, rendered "
    "by the program. Nothing is photographed. The fields `data.size={size}` and `data.seed={seed}` "
    "give the same images again.",
    "tfds": "The images are the data set `{name}` of TensorFlow Datasets. They are not published "
    "with the model.",
}
CUTOUTS = {  # data.cutout -> what it did
    "none": "the background stays as it is in the image",
    "plain": "the product is cut out of a plain background and put on white",
    "grabcut": "the product is cut out by GrabCut and put on white",
    "neural": "the product is cut out by U2-Net-P and put on white",
    "auto": "the product is cut out by the best of several methods and put on white",
}


def build_data_card(model: Model) -> str:
    """DATA_CARD.md of an exported folder, as Markdown."""
    report = read_report(model)
    sections = [
        build_front_matter(build_metadata(model)),
        "# The training images of this model",
        _describe_source(model),
        _describe_splits(model, report),
        _describe_attributes(model, report),
        _describe_refusals(report),
        _describe_preparation(model, report),
        _describe_rights(model),
        "## Digest\n\n"
        f"The digest of the prepared images is `{model.run.record['data']['digest']}`. It follows "
        "from their pixels, splits and conditions. Equal digests mean equal training data.",
    ]
    return "\n\n".join(section.strip("\n") for section in sections) + "\n"


def read_report(model: Model) -> dict[str, Any]:
    """The run's data_report.json; {} where there is none, or one of other data."""
    try:
        report = json.loads((model.run.path / REPORT_FILE).read_text(encoding="utf-8"))
        counts = {name: report["counts"][name] for name in SPLITS}
        return report if counts == model.run.record["data"]["counts"] else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def build_metadata(model: Model) -> dict[str, Any]:
    """The front matter of a data set's card on the Hugging Face Hub."""
    is_catalogue = model.config.data.source == "catalogue"
    total = sum(model.run.record["data"]["counts"].values())
    sizes = [name for limit, name in SIZE_CATEGORIES.items() if total < limit]
    name = model.config.data.name
    pretty_names = {"catalogue": "The embedded catalogue of prodgen", "tfds": name}
    return {
        "license": (CATALOGUE_LICENCE if is_catalogue else UNKNOWN_LICENCE).lower(),
        "pretty_name": pretty_names.get(model.config.data.source, "Product images, not published"),
        "size_categories": [sizes[0] if sizes else "n>100M"],
        "task_categories": ["unconditional-image-generation"],
        "annotations_creators": ["machine-generated"] if is_catalogue else None,
        "source_datasets": ["original"] if is_catalogue else None,
        "tags": ["prodgen", "product-images", *(["synthetic"] if is_catalogue else [])],
    }


def _describe_source(model: Model) -> str:
    data = model.config.data
    count = sum(model.run.record["data"]["counts"].values())
    text = SOURCES[data.source].format(
        count=count, size=data.size, seed=data.seed, name=escape(data.name)
    )
    return f"## Source\n\n{text}"


def _describe_splits(model: Model, report: Mapping[str, Any]) -> str:
    """The images of each split, and of each category in each split."""
    counts = model.run.record["data"]["counts"]
    rows = [(name, f"{counts[name]:,}") for name in SPLITS]
    products = report.get("products", {}).get("splits", {})
    header: tuple[str, ...] = ("split", "images")
    if products:
        header = (*header, "products")
        rows = [(*row, f"{products[row[0]]['products']:,}") for row in rows]
    parts = ["## Images", build_table(header, rows)]
    split_by = report.get("products", {}).get("split_by")
    if split_by:
        parts.append(f"The images were split by {escape(split_by)}.")
    classes = report.get("classes", [])
    if classes:
        columns = ("total", *SPLITS)
        table = [(row["name"], *(f"{row[column]:,}" for column in columns)) for row in classes]
        parts += ["### Categories", build_table(("category", *columns), table)]
    elif model.spec.classes:
        names = escape(", ".join(model.spec.classes))
        parts.append(f"Categories: {names}. Their numbers of images are {NOT_RECORDED}.")
    else:
        parts.append("The images have no categories.")
    if report.get("unlabelled"):
        parts.append(f"Images without a category: {report['unlabelled']:,}.")
    return "\n\n".join(parts)


def _describe_attributes(model: Model, report: Mapping[str, Any]) -> str:
    """What is known of the images beside their category."""
    parts = ["## Attributes"]
    attributes = model.spec.attributes
    if not attributes:
        return "\n\n".join([*parts, "The images have no attributes."])
    by_name = {row["name"]: row for row in report.get("attributes", [])}
    rows = []
    for attribute in attributes:
        row = by_name.get(attribute.name, {})
        known = f"{row['known']:.0%}" if "known" in row else NOT_RECORDED
        rows.append((attribute.name, attribute.kind, known, _describe_values(row, attribute.unit)))
    return "\n\n".join([*parts, build_table(("attribute", "kind", "known", "values"), rows)])


def _describe_values(row: Mapping[str, Any], unit: str) -> str:
    """The counts of an attribute's values, or its range."""
    if "values" in row:
        return ", ".join(f"{value}: {count:,}" for value, count in row["values"].items())
    if row.get("range"):
        low, median, high = (format_number(row["range"][i]) for i in (0, 2, 4))
        # An angle goes round: it has no median.
        middle = "" if row.get("kind") == "angle" else f", median {median}"
        return f"{low} to {high}{middle}{f' ({unit})' if unit else ''}"
    return NOT_RECORDED


def _describe_refusals(report: Mapping[str, Any]) -> str:
    """How many images were refused or left out, and of which kinds the reasons are."""
    parts = ["## Images that were not used"]
    refusals = report.get("refused")
    if refusals is None:
        return "\n\n".join([*parts, f"How many images were refused is {NOT_RECORDED}."])
    if not refusals["total"]:
        parts.append("No image was refused.")
    else:
        # A reason that is not in the program's own words could hold a name.
        kinds: dict[str, int] = {}
        for kind, count in refusals["kinds"].items():
            name = kind if REFUSAL_KIND.fullmatch(kind) else "another reason"
            kinds[name] = kinds.get(name, 0) + count
        parts.append(f"Files that were refused: {refusals['total']:,}.")
        parts.append(build_table(("reason", "files"), kinds.items()))
    left_out = report["counts"].get("left_out", 0)
    if left_out:
        parts.append(f"Images that were left out, as another split has the same one: {left_out:,}.")
    duplicates, near = report.get("duplicates", {}), report.get("near_duplicates", {})
    if duplicates and near:
        copies = [
            ("images that are exact copies of another one", f"{duplicates['pictures']:,}"),
            ("pairs of images that are near duplicates", f"{near['pairs']:,}"),
            ("held-out images with a near duplicate in another split", f"{near['held_out']:,}"),
        ]
        parts += ["### Duplicates", build_table(("what", "number"), copies)]
    return "\n\n".join(parts)


def _describe_preparation(model: Model, report: Mapping[str, Any]) -> str:
    data, spec = model.config.data, model.spec
    colours = "grey" if spec.channels == 1 else "RGB"
    fitting = FITTINGS.get(data.fit, data.fit).format(side=spec.resolution)
    cutout = data.get("cutout", "none")
    rows = [
        ("size", f"{spec.resolution} x {spec.resolution} pixels, {colours}"),
        ("fit", fitting if cutout == "none" else "the product in the middle of a square"),
        ("cut-out", CUTOUTS.get(cutout, cutout)),
        ("most common background", ", ".join(map(str, spec.background)) or NOT_RECORDED),
    ]
    sizes, background = report.get("sizes"), report.get("background")
    if sizes:
        text = f"{sizes['smallest']:,} to {sizes['largest']:,}, median {sizes['median']:,}"
        rows.append(("shorter side of the original images, in pixels", text))
        rows.append(("images that were enlarged", f"{sizes['enlarged']:,}"))
    if background:
        rows.append(("images with a white border", f"{background['all_white']:,}"))
    return "\n\n".join(["## Preparation", build_table(("what", "value"), rows)])


def _describe_rights(model: Model) -> str:
    if model.config.data.source == "catalogue":
        text = (
            f"The program renders the images, under its own licence ({CATALOGUE_LICENCE}). They "
            "show no person, no brand and no real product."
        )
    else:
        text = (
            "Who has the rights in the images is unknown to the program. Whether people, brands or "
            "personal data are in them is unknown, too: the program did not look for them. Whoever "
            "publishes the model should state it here."
        )
    return f"## Rights, and people in the images\n\n{text}"
