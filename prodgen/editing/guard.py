"""Keeping copies of training pictures from leaving: each picture against all that a run has seen.

The line is that of metrics/memorisation.py: a likeness that hardly any held-back picture reaches.
A picture that is a copy only of what the user brought in is the user's own, and passes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from prodgen.data.store import Store
from prodgen.editing.inversion import Inverter
from prodgen.editing.neighbourhood import Refuse
from prodgen.metrics import features, likeness, memorisation, neighbours

MOST = 20_000  # training pictures that are compared with
HELD_BACK = 1000  # that draw the line


@dataclasses.dataclass(frozen=True)
class Seen:
    """Of N pictures: `copy` bool [N]; likeness float [N], 1 for the same picture; the name of the
    training picture that each is most alike to."""

    copy: np.ndarray
    likeness: np.ndarray
    names: list[str]


class Guard:
    """The training pictures of one run. MissingInput where they are gone."""

    def __init__(self, inverter: Inverter):
        store = inverter.model.store()
        self._look, self._store = inverter.features, store
        self._ids = store.some("train", MOST)
        self._pictures = store.fetch(self._ids)["image"]
        self._features = self._remembered(inverter, self._pictures)
        self.line = self._line(store, inverter)

    def __call__(self, pictures: np.ndarray, own: np.ndarray | None = None) -> Seen:
        """Look at generated pictures uint8 [N, R, R, C]; `own` [M, R, R, C] the user brought in."""
        match = self._closest(pictures, self._look(pictures))
        copy = match.distance < self.line
        if own is not None and len(own) and copy.any():
            theirs = self._pictures[match.index[copy]]
            nearest = likeness.closest(theirs, own, np.zeros((len(theirs), 1), int))
            copy[copy] = nearest.distance >= self.line
        names = self._store.names(self._ids[match.index])
        return Seen(copy, 1 - match.distance, names)

    def refuse(self, own: np.ndarray) -> Refuse:
        """What says which of generated pictures are copies, other than of `own` [M, R, R, C]."""
        return lambda pictures: self(pictures, own).copy

    def _closest(self, pictures: np.ndarray, seen: np.ndarray) -> likeness.Matches:
        hint, _ = neighbours.nearest(seen, self._features)
        return likeness.closest(pictures, self._pictures, hint[:, None])

    def _line(self, store: Store, inverter: Inverter) -> float:
        """The distance below which a picture is a copy; without held-back pictures the strictest
        that is never wrong."""
        held = [store.some(split, HELD_BACK) for split in ("validation", "test")]
        ids = np.concatenate(held)[:HELD_BACK]
        if not len(ids):
            return memorisation.SAME
        pictures = store.fetch(ids)["image"]
        found = self._closest(pictures, self._remembered(inverter, pictures))
        return memorisation.copy_line(found.distance)[0]

    def _remembered(self, inverter: Inverter, pictures: np.ndarray) -> np.ndarray:
        """Home features of real pictures, computed once and kept beside the store."""
        who = features.home(inverter.home, inverter.record["sha256"])
        folder = Path(inverter.model.config.data.cache_dir).expanduser() / "features"
        return features.remembered(who, pictures, folder)
