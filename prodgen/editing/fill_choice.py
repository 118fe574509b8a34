"""Which fill is better for a hole in a photo: the run's, or patches of the photo itself.

Both fill the same hole in held-out images of the run. The one with the smaller mean squared error
in the hole is the better one. The comparison is kept in the run's folder, by the hole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np

from prodgen.core.cache import cached_bytes
from prodgen.core.errors import MissingRunData
from prodgen.editing.inversion import Inverter
from prodgen.editing.inversion_calibration import held_out_ids
from prodgen.photo import patch_fill

FOLDER = "fills"  # in the run's folder
MEASUREMENT_VERSION = 1  # of how fills are compared: with another one, all is compared again
NUM_IMAGES = 8  # held-out images


@dataclasses.dataclass(frozen=True)
class FillChoice:
    """method: "classical" or "generated"; errors: the root mean square error of each in the hole,
    in levels of 255, on num_images held-out images."""

    method: str
    classical_error: float
    generated_error: float
    num_images: int

    def describe(self) -> str:
        """The choice and its reason as a clause."""
        name = "the photo's own patches" if self.method == "classical" else "the run"
        return (
            f"filled by {name}: on {self.num_images} held-out images the error in the same hole "
            f"is {self.classical_error:.0f} levels with patches and {self.generated_error:.0f} "
            "with the run"
        )


def choose_fill(inverter: Inverter, hole: np.ndarray) -> FillChoice | None:
    """The better fill of a hole bool [R, R] at the run's resolution; None where nothing can be
    compared: the run's own images are gone, or the hole covers all of an image."""
    model = inverter.model
    if hole.all() or not hole.any():
        return None
    origin = [MEASUREMENT_VERSION, model.run.record["fingerprint"], model.run.step, inverter.steps]
    digest = hashlib.sha256(json.dumps(origin).encode() + np.packbits(hole).tobytes())
    path = model.run.path / FOLDER / f"{digest.hexdigest()[:24]}.json"
    try:
        content = cached_bytes(path, lambda: json.dumps(compare_fills(inverter, hole)).encode())
    except MissingRunData:
        return None
    errors = json.loads(content)
    method = "classical" if errors["classical_error"] <= errors["generated_error"] else "generated"
    return FillChoice(method, **errors)


def compare_fills(inverter: Inverter, hole: np.ndarray) -> dict[str, float]:
    """The fields of FillChoice except `method`: both fills in held-out images of the run."""
    store = inverter.model.store()
    images = store.fetch(held_out_ids(store, NUM_IMAGES))["image"]
    masks = np.repeat(hole[None, ..., None], len(images), axis=0)
    # Neither fill sees what is in the hole.
    holed_images = np.where(masks, np.uint8(255), images)
    patch_fills = np.stack([patch_fill.fill_hole(x, hole.astype(float)) for x in holed_images])
    run_fills = inverter(holed_images, region=1.0 - masks.astype(np.float32)).reconstruction
    return {
        "classical_error": _root_mean_square(patch_fills, images, hole),
        "generated_error": _root_mean_square(run_fills, images, hole),
        "num_images": len(images),
    }


def _root_mean_square(fills: np.ndarray, images: np.ndarray, hole: np.ndarray) -> float:
    """The error of fills uint8 [N, R, R, C] in a hole, in levels of 255."""
    errors = fills[:, hole].astype(np.float64) - images[:, hole]
    return round(float(np.sqrt(np.square(errors).mean())), 4)
