"""The products of a user's pictures: read, cut out where they have no alpha, trimmed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

import numpy as np

from prodgen.apps.common.listing import files
from prodgen.apps.common.output import say
from prodgen.core import provenance
from prodgen.core.errors import BadData, MissingInput, RejectedItem
from prodgen.metrics import marketplace
from prodgen.photo import background_removal, morphology

SEEN = 16  # alpha: what is below is dust, not product


@dataclasses.dataclass(frozen=True)
class Subject:
    """One product. pixels: uint8 [h, w, 4], trimmed. generated: its file says a model made it."""

    name: str
    pixels: np.ndarray
    generated: bool


def listed(images: str, mine: Collection[Path] = ()) -> list[Path]:
    """The picture files that --images names: a folder, a file, or several with commas between.

    Without `mine`, resolved paths of what the mode has written itself. MissingInput for none.
    """
    whole = Path(images).expanduser()
    parts = [whole] if whole.exists() else [Path(x).expanduser() for x in images.split(",") if x]
    found = [path for part in parts for path in files(part, "--images")]
    found = [path for path in found if path.resolve() not in mine]
    if not found:
        raise MissingInput(f"--images={images} holds no pictures", "name a picture or a folder")
    return found


def read(paths: list[Path], limit: int) -> list[Subject]:
    """The first `limit` products of the files; what shows none is said and left out.

    BadData where nothing is left, with the first reason.
    """
    found: list[Subject] = []
    reasons = []
    for path in paths:
        if len(found) == limit:
            break
        try:
            pixels = cut_out(marketplace.read_image(path))
            found.append(Subject(path.stem, pixels, provenance.is_generated(path)))
        except RejectedItem as refused:
            reasons.append(f"{path.name}: {refused}")
            say(f"left out: {reasons[-1]}")
    if not found:
        raise BadData(
            f"no product in {len(reasons)} pictures; {reasons[0]}",
            "name pictures with alpha, or with one product before a flat background",
        )
    return found


def cut_out(picture: np.ndarray) -> np.ndarray:
    """The product of a picture uint8 [H, W, 1 | 3 | 4], trimmed RGBA uint8 [h, w, 4].

    By its alpha, else by its flat background (photo/plain.py). `RejectedItem` where there is none.
    """
    cut = background_removal.cut_out(picture, background_removal.load_segmenter("plain"))
    if cut.quality.failure:
        raise RejectedItem(cut.quality.failure)
    seen = cut.alpha >= SEEN
    if not seen.any():
        raise RejectedItem("no product: all of it is transparent")
    top, left, bottom, right = morphology.bounding_box(seen)
    return cut.rgba[top:bottom, left:right].copy()
