"""Keeping copies of training pictures from leaving: each picture against all that a run has seen.

The line is that of metrics/memorisation.py: a likeness that hardly any held-back picture reaches.
A picture that is a copy only of what the user brought in is the user's own, and passes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from prodgen.core.cache import cached_bytes
from prodgen.data.store import Store
from prodgen.editing.editable_model import EditableModel
from prodgen.editing.neighbourhood import Refuse
from prodgen.metrics import likeness, memorisation
from prodgen.metrics.screen import Screen

MOST = 20_000  # training pictures that are compared with
HELD_BACK = 1000  # that draw the line
VERSION = 1  # of the line: raise it where a change draws another one


@dataclasses.dataclass(frozen=True)
class Seen:
    """Of N pictures: `copy` bool [N]; likeness float [N], 1 for the same picture, of a picture that
    is no copy an estimate (metrics/screen.py); the name of the training picture that each is most
    alike to."""

    copy: np.ndarray
    likeness: np.ndarray
    names: list[str]


class Guard:
    """The training pictures of one run. MissingInput where they are gone."""

    def __init__(self, model: EditableModel):
        self._store = model.store()
        self._ids = self._store.evenly_spaced_ids("train", MOST)
        self._pictures = self._store.fetch(self._ids)["image"]
        self._screen = Screen(self._pictures)
        folder = Path(model.config.data.cache_dir).expanduser() / "lines"
        self.line = _remembered_line(self._store, self._pictures, folder)

    def __call__(self, pictures: np.ndarray, own: np.ndarray | None = None) -> Seen:
        """Look at generated pictures uint8 [N, R, R, C]; `own` [M, R, R, C] the user brought in."""
        match = self._screen(pictures, self.line)
        copy = match.distance < self.line
        if own is not None and len(own) and copy.any():
            theirs = self._pictures[match.index[copy]]
            nearest = likeness.find_matches(theirs, own, np.zeros((len(theirs), 1), int))
            copy[copy] = nearest.distance >= self.line
        names = self._store.names(self._ids[match.index])
        return Seen(copy, 1 - match.distance, names)

    def refuse(self, own: np.ndarray) -> Refuse:
        """What says which of generated pictures are copies, other than of `own` [M, R, R, C]."""
        return lambda pictures: self(pictures, own).copy


def _remembered_line(store: Store, training: np.ndarray, folder: Path) -> float:
    """The line, drawn once and kept in `folder` under the hash of the pictures.

    A damaged file is drawn anew; a folder that cannot be written keeps nothing.
    """
    path = folder / f"{store.digest()}-{VERSION}.txt"
    return float(cached_bytes(path, lambda: repr(_line(store, training)).encode()))


def _line(store: Store, training: np.ndarray) -> float:
    """The distance below which a picture is a copy; without held-back pictures the strictest that
    is never wrong."""
    held = [store.evenly_spaced_ids(split, HELD_BACK) for split in ("validation", "test")]
    ids = np.concatenate(held)[:HELD_BACK]
    if not len(ids):
        return memorisation.MAX_IDENTICAL_DISTANCE
    found = likeness.find_matches(store.fetch(ids)["image"], training, np.zeros((len(ids), 0), int))
    return memorisation.copy_threshold(found.distance)[0]
