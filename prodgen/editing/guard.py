"""The copy guard: generated images compared with up to MAX_TRAINING_IMAGES of a run's own.

The threshold is that of metrics/memorisation.py: a likeness that hardly any held-out image reaches.
An image that is a copy only of what the user brought in is the user's own, and passes.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.core.cache import cached_bytes
from prodgen.data.shared_store import locate_cache
from prodgen.data.store import Store
from prodgen.editing.editable_model import EditableModel
from prodgen.editing.variations import RefusalFn
from prodgen.metrics import likeness, memorisation
from prodgen.metrics.screen import Screen

MAX_TRAINING_IMAGES = 20_000  # that generated images are compared with
MAX_HELD_OUT_IMAGES = 1000  # that the threshold is computed from
THRESHOLD_VERSION = 1  # raise it where a change gives another threshold


@dataclasses.dataclass(frozen=True)
class GuardResult:
    """Of N images: `is_copy` bool [N]; likeness float [N], 1 for the same image, an estimate for
    one that is no copy (metrics/screen.py); the name of the training image nearest to each."""

    is_copy: np.ndarray
    likeness: np.ndarray
    nearest_names: list[str]


class Guard:
    """The training images of one run. MissingInput where they are gone."""

    def __init__(self, model: EditableModel):
        self._store = model.store()
        self._ids = self._store.evenly_spaced_ids("train", MAX_TRAINING_IMAGES)
        self._images = self._store.fetch(self._ids)["image"]
        self._screen = Screen(self._images)
        # Computed once for each data set: the file's name holds the digest of its images.
        folder = locate_cache(model.config.data.cache_dir) / "lines"
        path = folder / f"{self._store.digest()}-{THRESHOLD_VERSION}.txt"
        compute = lambda: repr(copy_threshold(self._store, self._images)).encode()  # noqa: E731
        self.threshold = float(cached_bytes(path, compute))

    def __call__(self, images: np.ndarray, own: np.ndarray | None = None) -> GuardResult:
        """Check generated images uint8 [N, R, R, C]; `own` [M, R, R, C] the user brought in."""
        match = self._screen(images, self.threshold)
        is_copy = match.distance < self.threshold
        if own is not None and len(own) and is_copy.any():
            # A training image that is a copy of the user's own image may be repeated.
            originals = self._images[match.index[is_copy]]
            nearest = likeness.find_matches(originals, own, np.zeros((len(originals), 1), int))
            is_copy[is_copy] = nearest.distance >= self.threshold
        names = self._store.names(self._ids[match.index])
        return GuardResult(is_copy, 1 - match.distance, names)

    def refusal_fn(self, own: np.ndarray) -> RefusalFn:
        """images -> bool [N], which are copies, other than of `own` [M, R, R, C]."""
        return lambda images: self(images, own).is_copy


def open_guard(model: EditableModel) -> Guard | None:
    """The guard of a run; None for a model of the package.

    Its training images are the embedded catalogue, which anybody may copy.
    """
    return None if model.run.is_pretrained else Guard(model)


def copy_threshold(store: Store, training: np.ndarray) -> float:
    """The distance below which an image is a copy.

    Without held-out images it is the strictest one, that of identical images.
    """
    ids = [store.evenly_spaced_ids(split, MAX_HELD_OUT_IMAGES) for split in ("validation", "test")]
    ids = np.concatenate(ids)[:MAX_HELD_OUT_IMAGES]
    if not len(ids):
        return memorisation.MAX_IDENTICAL_DISTANCE
    held_out = store.fetch(ids)["image"]
    nearest = likeness.find_matches(held_out, training, np.zeros((len(ids), 0), int))
    return memorisation.copy_threshold(nearest.distance)[0]
