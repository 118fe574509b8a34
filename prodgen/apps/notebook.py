"""What `prodgen.load` returns: a run that samples and reads (model.py), and is shown products.

model = prodgen.load("runs/vaegan-63c4d2d9")
found = model.invert(photos)                       # uint8 [N, H, W, C], of the run's own size
more = model.vary(photos[0], 16, strength=0.4)     # uint8 [16, H, W, C]
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from prodgen.apps import views
from prodgen.apps.common import photos
from prodgen.editing import neighbourhood
from prodgen.editing.guard import Guard
from prodgen.editing.inversion import Inverted, Inverter
from prodgen.model import Model
from prodgen.runs.open import open_run


def load(workdir: str | Path, step: str | int | None = None) -> Notebook:
    """Open a run at its best checkpoint, or at `step` ("latest" or a number)."""
    return Notebook(open_run(Path(workdir), step))


class Notebook(Model):
    """A run. Pictures are uint8 [N, H, W, C]; programs are compiled once, at their first use."""

    say: Callable[[str], None] = staticmethod(lambda text: None)  # set it to print for progress

    @functools.cached_property
    def inverter(self) -> Inverter:
        """What fits pictures into the run."""
        return Inverter(self, self.say)

    @functools.cached_property
    def guard(self) -> Guard:
        """What knows the training pictures."""
        return Guard(self)

    def read(self, path: str | Path) -> np.ndarray:
        """A photo's file as the run sees it, uint8 [H, W, C]: cut out where training was."""
        return photos.read_picture(self, Path(path))

    def invert(self, pictures: np.ndarray) -> Inverted:
        """The latents and conditions that give pictures back (editing/inversion.py)."""
        return self.inverter(pictures)

    def vary(
        self,
        picture: np.ndarray,
        n: int,
        strength: float = 0.4,
        keep: Sequence[str] = ("category",),
        seed: int = 0,
    ) -> np.ndarray:
        """n variations of a picture uint8 [H, W, C]; fewer where copies of training pictures are
        all that is left."""
        found = self.inverter(picture[None])
        refuse = self.guard.refuse(picture[None])
        return neighbourhood.vary(
            self.inverter, found.z[0], found.conditions, n, strength, keep, seed, refuse
        ).pictures

    def views(self, picture: np.ndarray, frames: int = 12) -> np.ndarray:
        """A picture uint8 [H, W, C] from all around, uint8 [frames, H, W, C].

        UsageError where the run has not learnt from which side a product is seen.
        """
        views.sides_of(self.conditions.spec)  # refused before the work
        found = self.inverter(picture[None])
        return views.turn(self, found.z[0], found.conditions, frames)[0]
