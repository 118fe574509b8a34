"""What is wrong with a cut-out, by name: `no_product`, `several`, `touches_border`, `unsure`."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.photo import silhouette
from prodgen.photo.guess import Guess

LEAST, MOST = 0.004, 0.97  # shares of the frame: a smaller product is a speck, a larger one a wall
PIECE = 0.2  # of the largest piece's area: a second one of this size is a product of its own
TOUCH = 0.01  # of the frame's border that a product may touch by a thread
DOUBT = 0.5  # of Guess.doubt
FAILED = ("no_product", "unsure")  # these leave nothing to train on


@dataclasses.dataclass(frozen=True)
class Finding:
    """A finding's key, and the measure that it rests on in words."""

    key: str
    words: str

    def __str__(self) -> str:
        return f"{self.key}: {self.words}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """findings: all of them, the gravest first, none of a clean cut-out. coverage: the product's
    share of the frame. box: (top, left, bottom, right) in shares of the frame's sides, or None."""

    findings: tuple[Finding, ...]
    coverage: float
    box: tuple[float, float, float, float] | None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(finding.key for finding in self.findings)

    @property
    def empty(self) -> bool:
        """There is no product to cut out."""
        return "no_product" in self.keys

    @property
    def failure(self) -> str:
        """Why the picture is no use to train on, or an empty text."""
        return next((str(one) for one in self.findings if one.key in FAILED), "")


def judge(guess: Guess) -> Verdict:
    """The verdict on a guess."""
    solid = guess.mask > 0.5
    share = float(solid.mean())
    if not LEAST <= share <= MOST:
        words = "the whole frame looks alike" if share > MOST else "nothing stands out"
        return Verdict((Finding("no_product", words),), share, None)
    top, left, bottom, right = silhouette.box_of(solid)
    height, width = solid.shape
    box = (top / height, left / width, bottom / height, right / width)
    return Verdict(tuple(_findings(guess, solid)), share, box)


def _findings(guess: Guess, solid: np.ndarray) -> list[Finding]:
    found = []
    if guess.doubt > DOUBT:
        found.append(Finding("unsure", f"doubt of {guess.doubt:.2f}, at most {DOUBT:g}"))
    pieces = silhouette.components(solid)[1]
    large = int((pieces >= PIECE * pieces.max()).sum())
    if large > 1:
        found.append(Finding("several", f"{large} pieces of like size"))
    touched = float(_edge(solid).mean())
    if touched > TOUCH:
        found.append(Finding("touches_border", f"{touched:.1%} of the frame's border is product"))
    return found


def _edge(solid: np.ndarray) -> np.ndarray:
    """The outermost pixels, [2 h + 2 w]."""
    return np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]])
