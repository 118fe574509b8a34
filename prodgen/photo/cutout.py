"""A photo in, the product alone out: one of the methods, its verdict, and the refined edge."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.config import registry
from prodgen.core.errors import RejectedItem
from prodgen.photo import matte, silhouette, verdict
from prodgen.photo.guess import Cutter, Guess, resized, within
from prodgen.photo.matte import Matte
from prodgen.photo.verdict import Verdict

SIDE = 1024  # pixels: the product is sought in a copy of this size, its edge in the photo itself
SMALLEST = 32  # pixels a side
DUST = 0.01  # of the product's area: smaller pieces are none of it


@dataclasses.dataclass(frozen=True)
class Cutout:
    """colour: uint8 [H, W, 3]; alpha: uint8 [H, W]; see matte.Matte. verdict: what to look at."""

    colour: np.ndarray
    alpha: np.ndarray
    verdict: Verdict

    @property
    def rgba(self) -> np.ndarray:
        """uint8 [H, W, 4]."""
        return np.dstack([self.colour, self.alpha])

    def over(self, background: tuple[int, int, int]) -> np.ndarray:
        """uint8 [H, W, 3]: the product on a flat colour, levels 0..255."""
        share = self.alpha[..., None] / np.float32(255)
        mixed = self.colour * share + np.float32(background) * (1 - share)
        return np.uint8(np.rint(mixed))


def method(name: str, model: str = "") -> Cutter:
    """A way to cut out by its name in registry.CUTOUTS; MissingInput where it lacks something."""
    return registry.resolve(registry.CUTOUTS, name, "cutout")(model)


def cut(picture: np.ndarray, cutter: Cutter) -> Cutout:
    """The product of a photo uint8 [H, W, 1 | 3 | 4], at its own resolution.

    A photo that is transparent already keeps its alpha. RejectedItem: too small, or without a
    product.
    """
    height, width = picture.shape[:2]
    if min(height, width) < SMALLEST:
        raise RejectedItem(f"too small: {width} x {height} px, at least {SMALLEST} a side")
    if picture.shape[-1] == 4 and picture[..., 3].min() < 255:
        return _given(picture)
    colour = np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture[..., :3]
    colour = np.ascontiguousarray(colour)
    small = resized(colour, within((height, width), SIDE))
    guess = _swept(cutter(small))
    found = verdict.judge(guess)
    if found.empty:
        raise RejectedItem(found.failure)
    refined = matte.refine(colour, small, guess)
    return Cutout(refined.colour, refined.alpha, found)


def _given(picture: np.ndarray) -> Cutout:
    """A picture that somebody has cut out already."""
    found = verdict.judge(Guess(picture[..., 3] / np.float32(255)))
    if found.empty:
        raise RejectedItem(found.failure)
    given = Matte(np.ascontiguousarray(picture[..., :3]), np.ascontiguousarray(picture[..., 3]))
    return Cutout(given.colour, given.alpha, found)


def _swept(guess: Guess) -> Guess:
    """Without the pieces that are dust beside the largest one."""
    labels, sizes = silhouette.components(guess.mask > 0.5)
    dust = (sizes < DUST * sizes.max(initial=0)) & (np.arange(len(sizes)) > 0)
    if not dust.any():
        return guess
    gone = silhouette.dilate(dust[labels], round(guess.cell) + 1) & ~(~dust & (sizes > 0))[labels]
    return dataclasses.replace(guess, mask=np.where(gone, np.float32(0), guess.mask))
