"""The first card of a report: what the run is fit for, in words for a shop, with the evidence."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prodgen.report import html_page
from prodgen.report.tables import build_table
from prodgen.runs.workdir import FITNESS_FILE

WORDS = {"fit": "yes", "limited": "with limits", "unfit": "no"}
USES = {
    "sample": "New products",
    "vary": "Variations of a product from its photo",
    "attribute": "Another attribute of a product in a photo",
    "mix": "Images between two products",
    "inpaint": "A part of a photo, filled",
    "batch": "Missing images of a catalogue",
    "personalise": "New products for one person",
    "views": "A product from other sides",
}
EVIDENCE = {  # field -> (description, format)
    "classifier_accuracy": ("Held-out photos whose category the reference classifier names", ".0%"),
    "psnr": ("Held-out photos given back, PSNR in dB", ".1f"),
    "explained_variance": ("Their shapes and colours that come back", ".0%"),
    "explained_edges": ("Their edges that come back", ".0%"),
    "perceptual_distance": ("Perceptual distance to their photos", ".3f"),
    "perceptual_distance_of_others": ("Perceptual distance to other photos", ".3f"),
    "recognised_share": ("Given back nearest to their own photo", ".0%"),
    "sharpness": ("Edges of new images, as a share of the photos'", ".0%"),
    "frechet": ("Frechet distance of new images to photos", ".1f"),
    "real_frechet": ("Frechet distance of real images to photos", ".1f"),
    "held_out_photos": ("Held-out photos", ",d"),
    "training_images": ("Training images", ",d"),
}


def build_section(run: Path) -> str:
    """The card of the fitness.json in a run's folder; "" where there is none."""
    try:
        content = json.loads((run / FITNESS_FILE).read_text(encoding="utf-8"))
        return build_card(content)
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def build_card(content: Mapping[str, Any]) -> str:
    """The card of a fitness as evaluation.fitness.to_json writes it."""
    summary = "".join(f"<p>{html.escape(line)}</p>" for line in content["summary"])
    uses = [
        (USES[use], WORDS[verdict["level"]], verdict["reason"])
        for use, verdict in content["uses"].items()
    ]
    evidence, verdicts = content["evidence"], content["categories"]
    categories = [
        (
            c["name"],
            WORDS[verdicts[c["name"]]["level"]],
            "" if c["training_images"] is None else f"{c['training_images']:,}",
            _format_share(c["sample_accuracy"], c["samples"]),
            _format_share(c["photo_accuracy"], c["photos"]),
        )
        for c in evidence["categories"]
    ]
    sections = [
        "<h2>What this run is fit for</h2>",
        f"<div class=card>{summary}</div>",
        build_table(uses, ("use", "fit", "why")),
    ]
    if categories:
        header = ("category", "drawn", "training images", "new images", "photos")
        note = "<p class=sub>The last columns: how many are recognised as the category.</p>"
        sections += ["<h3>Category by category</h3>", build_table(categories, header), note]
    numbers = [
        (description, format(evidence[name], digits))
        for name, (description, digits) in EVIDENCE.items()
        if evidence.get(name) is not None
    ]
    sections.append(html_page.fold("The evidence", build_table(numbers)))
    return "".join(sections)


def _format_share(share: float | None, count: int) -> str:
    """A share of `count` images in words."""
    return "not measured" if share is None or not count else f"{round(share * count)} of {count}"
