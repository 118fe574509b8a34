"""A user's photo, put into the model's world: cut out, centred, on the training background.

prepare makes training pictures of photos with it, and the modes of run_sample.py pictures that a
trained run can read. What the photo is decoded to is upright already (core/decode.py).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from prodgen.core.errors import Refused
from prodgen.data import fit
from prodgen.photo import cutout, neural, place
from prodgen.photo.cutout import Cutout
from prodgen.photo.guess import Cutter

VERSION = 1  # part of a store's key: raise it with every change of the bytes
WHITE = (255, 255, 255)
NAMED = 5  # pictures that a note of the data report names
WORDS = {"several": "several products", "touches_border": "a product that the frame cuts off"}


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How pictures are taken. fit, composited: see fit.prepare_picture, where nothing is cut out.

    cutout: a method of registry.CUTOUTS, or none; model: its file.
    """

    resolution: int
    fit: str = "pad"
    composited: bool = False
    cutout: str = "none"
    model: str = ""

    @staticmethod
    def from_config(data: ConfigDict, composited: bool = False) -> FitOptions:
        """As config.data says; a section without a cut-out is older than the field."""
        method, model = data.get("cutout", "none"), data.get("cutout_model", "")
        return FitOptions(data.resolution, data.fit, composited, method, model)


@dataclasses.dataclass(frozen=True)
class PreparedPhoto:
    """A photo as the model takes it, and the keys of what was found about its cut-out."""

    image: fit.FittedImage
    findings: tuple[str, ...] = ()


def make_packshot(
    picture: np.ndarray,
    resolution: int,
    method: str,
    model: str = "",
    background: tuple[int, ...] = WHITE,
) -> PreparedPhoto:
    """A photo uint8 [h, w, 1 | 3 | 4] as a packshot of `resolution` pixels a side.

    method: of registry.CUTOUTS; model: its file. background: one level, or three. The mask is the
    product's alpha. Refused: too small, no product, or a mask that nobody should train on.
    MissingInput where the method lacks its package or file.
    """
    cut = cutout.cut(picture, _cutter(method, model))
    if cut.verdict.failure:
        raise Refused(cut.verdict.failure)
    prepared = centre_on_square(cut, resolution, background)
    return PreparedPhoto(
        dataclasses.replace(prepared, original_size=picture.shape[:2]), cut.verdict.keys
    )


def centre_on_square(
    cut: Cutout, resolution: int, background: tuple[int, ...] = WHITE
) -> fit.FittedImage:
    """A cut-out in the middle of a square of one colour, `resolution` pixels a side."""
    middle = place.centred(cut)
    ground = tuple(int(level) for level in np.broadcast_to(background, 3))
    finished = np.dstack([middle.over(ground), middle.alpha])
    return fit.fit_image(finished, resolution, composited=True)


def prepare_photo(
    picture: np.ndarray, how: FitOptions, background: tuple[int, ...] = WHITE
) -> PreparedPhoto:
    """A picture uint8 [h, w, 1 | 3 | 4] as the model takes it: a packshot where `how` cuts out,
    else fitted as it is, with the background that it has. Refused, MissingInput as by `packshot`.
    """
    if how.cutout != "none":
        return make_packshot(picture, how.resolution, how.cutout, how.model, background)
    return PreparedPhoto(fit.fit_image(picture, how.resolution, how.fit, how.composited))


@functools.lru_cache(maxsize=2)
def _cutter(method: str, model: str) -> Cutter:
    return cutout.method(method, model)


def check_method(how: FitOptions) -> None:
    """MissingInput or BadData where the method cannot work here."""
    if how.cutout != "none":
        _cutter(how.cutout, how.model)


def describe_cutout(how: FitOptions) -> dict[str, Any]:
    """What a store's key must hold: nothing without a cut-out, so that older keys stay."""
    if how.cutout == "none":
        return {}
    model = hashlib.sha256(neural.read(how.model)).hexdigest() if how.cutout == "neural" else ""
    return {"cutout": how.cutout, "cutout_model": model, "cutout_version": VERSION}


def describe_findings(items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What the data report says of pictures that were taken although something was found."""
    for key, words in WORDS.items():
        names = [item["name"] for item in items if key in item.get("findings", ())]
        if names:
            more = ", ..." if len(names) > NAMED else ""
            first = ", ".join(names[:NAMED]) + more
            yield f"cut-out: {words} in {len(names)} of {len(items)} pictures: {first}"
