"""How alike two pictures are, whether or not one is mirrored, moved a little or recompressed.

The distance of two pictures is their mean squared difference over the part that overlaps, in units
of their variances: E(a - b)^2 / (var a + var b + 2 GRAIN^2). It is one minus the concordance
correlation of Lin 1989 ("A Concordance Correlation Coefficient to Evaluate Reproducibility",
Biometrics 45) but for GRAIN, the noise under which differences say nothing. The likeness is one
minus the distance: 1 for the same picture, about 0 for two that have nothing in common. Units of
variance let a pale product on white be as far from another pale one as two black ones are. Moves
by parts of a pixel are allowed for by the tangent distance of Simard, LeCun & Denker 1993
("Efficient Pattern Recognition Using a New Transformation Distance", NIPS 5).
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from prodgen.metrics.product import LUMA

GRAIN = 6.0  # levels of 255: about what strong JPEG compression leaves
REACH = 0.1  # of the side: how far a copy may have moved
FINE, COARSE = 64, 16  # pixels a side at which pairs are compared, and at which they are aligned
CANDIDATES, FINALISTS = 16, 3  # partners by small pictures, and pairs that are compared when fine
SOFT, SOFT_COLOUR = 0.7, 1.7  # pixels: JPEG keeps colour at half the resolution of brightness
TANGENT = 1.0  # pixels: how far the tangent stands for a move
BLOCK = 32  # pictures at a time: their pairs fit a processor's cache


@dataclasses.dataclass(frozen=True)
class Matches:
    """The most alike partner of each of N pictures.

    `index` int [N] of the partner; `distance` float64 [N], 0 for the same picture; `mirrored` bool
    [N]; `shift` int [N, 2], the pixels (down, right) by which the picture, mirrored back where it
    is mirrored, has moved against its partner.
    """

    index: np.ndarray
    distance: np.ndarray
    mirrored: np.ndarray
    shift: np.ndarray


def closest(
    pictures: np.ndarray, others: np.ndarray, hints: np.ndarray, *, same: bool = False
) -> Matches:
    """The most alike of `others` uint8 [M, H, W, C] for each of `pictures` uint8 [N, H, W, C].

    Compared in full are the partners whose small pictures are nearest, mirrored and moved ones
    included, and those that `hints` int [N, k] names, neighbours by features for instance: a copy
    is found where either of the two leads to it. `same` says that both sets are one, in which a
    picture is no partner of itself. ValueError where the shapes differ.
    """
    if pictures.shape[1:] != others.shape[1:]:
        raise ValueError(f"pictures of {pictures.shape[1:]} against {others.shape[1:]}")
    reference = shrink(others, COARSE)
    rows = _descriptor(reference)
    parts = []
    for start in range(0, len(pictures), BLOCK):
        block = slice(start, start + BLOCK)
        small = shrink(pictures[block], COARSE)
        own = np.arange(start, start + len(small)) if same else None
        index = np.concatenate([_candidates(small, rows, own), hints[block]], axis=1)
        parts.append(_best(pictures[block], small, others, reference, index))
    columns = zip(*(dataclasses.astuple(part) for part in parts), strict=True)
    return Matches(*(np.concatenate(column) for column in columns))


def shrink(pictures: np.ndarray, side: int) -> np.ndarray:
    """Means over areas: uint8 [N, H, W, C] -> float32 [N, min(side, H), min(side, W), C]."""
    rows, columns = (_areas(length, min(side, length)) for length in pictures.shape[1:3])
    found = np.empty((len(pictures), len(rows), len(columns), pictures.shape[3]), np.float32)
    for start in range(0, len(pictures), BLOCK):
        block = pictures[start : start + BLOCK].astype(np.float32)
        narrow = np.einsum("xw,nhwc->nhxc", columns, block, optimize=True)
        found[start : start + BLOCK] = np.einsum("yh,nhxc->nyxc", rows, narrow, optimize=True)
    return found


def _areas(length: int, side: int) -> np.ndarray:
    """float32 [side, length]: the share that each pixel has in each of `side` equal parts."""
    edges = np.linspace(0, length, side + 1)
    start, stop = edges[:-1, None], edges[1:, None]
    pixel = np.arange(length)
    overlap = np.minimum(stop, pixel + 1) - np.maximum(start, pixel)
    return (np.maximum(overlap, 0) * side / length).astype(np.float32)


def _descriptor(small: np.ndarray) -> np.ndarray:
    """float32 [N, D]: means over squares of two pixels, so that half a pixel's move is little."""
    return shrink(small, COARSE // 2).reshape(len(small), -1)


def _candidates(small: np.ndarray, rows: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """int [N, k] of the nearest `rows` [M, D] of small pictures, moved by a pixel and mirrored."""
    square = np.square(rows).sum(1)
    nearest = np.full((len(small), len(rows)), np.inf, np.float32)
    for mirror, down, right in itertools.product((1, -1), (-1, 0, 1), (-1, 0, 1)):
        padded = np.pad(small[:, :, ::mirror], ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
        height, width = small.shape[1:3]
        moved = padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        query = _descriptor(moved)
        distance = np.square(query).sum(1)[:, None] + square - 2 * query @ rows.T
        np.minimum(nearest, distance, out=nearest)
    if own is not None:
        nearest[np.arange(len(small)), own] = np.inf
    count = min(CANDIDATES, len(rows) - (own is not None))
    return np.argpartition(nearest, count - 1, axis=1)[:, :count]


def _best(
    pictures: np.ndarray,
    small: np.ndarray,
    others: np.ndarray,
    reference: np.ndarray,
    index: np.ndarray,
) -> Matches:
    """The best of the partners `index` [N, K]: all aligned when small, the finalists when fine."""
    count, partners = index.shape
    who = np.repeat(np.arange(count), 2 * partners)
    partner = np.repeat(index, 2, axis=1).reshape(-1)
    mirrored = np.tile([False, True], count * partners)
    grid = _shifts(small.shape[1:3])
    everywhere = np.ones((len(who), len(grid)), bool)
    rough, moves = _align(_turned(small[who], mirrored), reference[partner], grid, everywhere)

    rough = rough.reshape(count, -1)
    finalists = np.argsort(rough, axis=1, kind="stable")[:, :FINALISTS]
    chosen = (finalists + rough.shape[1] * np.arange(count)[:, None]).reshape(-1)
    who, partner, mirrored = who[chosen], partner[chosen], mirrored[chosen]
    a = _turned(_softened(shrink(pictures, FINE))[who], mirrored)
    b = _softened(shrink(others[partner], FINE))
    scale = np.array(a.shape[1:3]) / small.shape[1:3]
    fine = _shifts(a.shape[1:3])
    centre = np.clip(moves[chosen] * scale, fine.min(0), fine.max(0))
    near = np.abs(fine - centre[:, None]) <= scale / 2 + 1e-6
    distance, moves = _align(a, b, fine, near.all(-1))

    distance = distance.reshape(count, -1)
    winner = distance.argmin(1) + distance.shape[1] * np.arange(count)
    shift = moves[winner] * np.array(pictures.shape[1:3]) / a.shape[1:3]
    return Matches(
        partner[winner], distance.min(1), mirrored[winner], shift.round().astype(np.int64)
    )


def _softened(pictures: np.ndarray) -> np.ndarray:
    """float32 [P, H, W, C] without what compression changes: fine detail a little, colour more.

    Soft edges also bend less under the tangent.
    """
    if pictures.shape[-1] != 3:
        return _blurred(pictures, SOFT)
    grey = (pictures @ LUMA)[..., None]
    return _blurred(grey, SOFT) + _blurred(pictures - grey, SOFT_COLOUR)


def _blurred(pictures: np.ndarray, deviation: float) -> np.ndarray:
    """Under a Gaussian window of a deviation in pixels, which is cut off at the border."""
    for axis in (1, 2):
        place = np.arange(pictures.shape[axis])
        window = np.exp(-np.square(place[:, None] - place) / (2 * deviation**2))
        window = (window / window.sum(1, keepdims=True)).astype(np.float32)
        letters = "yh,phwc->pywc" if axis == 1 else "xw,phwc->phxc"
        pictures = np.einsum(letters, window, pictures, optimize=True)
    return np.ascontiguousarray(pictures)


def _turned(pictures: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """The pictures [P, H, W, C], those that are `mirrored` [P] from right to left."""
    return np.where(mirrored[:, None, None, None], pictures[:, :, ::-1], pictures)


def _shifts(sides: tuple[int, ...]) -> np.ndarray:
    """int [S, 2]: every (down, right) within REACH of the sides (height, width), the least first:
    of equally good ones the least is taken."""
    reach = [round(REACH * side) for side in sides]
    found = np.array(list(itertools.product(*(range(-r, r + 1) for r in reach))))
    return found[np.argsort(np.square(found).sum(1), kind="stable")]


def _align(
    a: np.ndarray, b: np.ndarray, shifts: np.ndarray, allowed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(distance [P], move [P, 2] in pixels and parts) of pairs float32 [P, H, W, C] at their best.

    `allowed` bool [P, S] says which of `shifts` [S, 2] a pair tries.
    """
    spread = sum(x.var((1, 2), dtype=np.float64).mean(-1) for x in (a, b)) + 2 * GRAIN**2
    slopes = np.gradient(a, axis=(1, 2))
    bend = np.stack([_inner(x, y) for x in slopes for y in slopes], -1).reshape(-1, 2, 2)
    bend += 1e-3 * np.eye(2)
    best, moves = np.full(len(a), np.inf), np.zeros((len(a), 2))
    for number, shift in enumerate(shifts):
        rows = np.flatnonzero(allowed[:, number])
        if len(rows):
            here, there = _overlap(a.shape[1:3], *shift)
            gap = a[rows, *here] - b[rows, *there]
            pull = np.stack([_inner(x[rows, *here], gap) for x in slopes], -1)
            part, gain = _tangent(pull, bend[rows])
            found = (_inner(gap, gap) - gain) / spread[rows]
            better = found < best[rows]
            best[rows[better]], moves[rows[better]] = found[better], (shift - part)[better]
    return np.maximum(best, 0), moves


def _overlap(
    sides: tuple[int, ...], down: int, right: int
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The (rows, columns) of a picture, and those of its partner moved by (down, right) on it."""
    moves = list(zip(sides, (down, right), strict=True))
    here = tuple(slice(max(move, 0), side + min(move, 0)) for side, move in moves)
    there = tuple(slice(max(-move, 0), side - max(move, 0)) for side, move in moves)
    return here, there


def _inner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean product float64 [P] of pairs float32 [P, H, W, C]."""
    return np.einsum("phwc,phwc->p", x, y).astype(np.float64) / x[0].size


def _tangent(pull: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(move [P, 2] of up to TANGENT pixels, what it takes from a mean squared difference [P]).

    `pull` [P, 2] are the mean products of slopes and difference, `bend` [P, 2, 2] of the slopes.
    """
    move = np.clip(np.linalg.solve(bend, pull[..., None])[..., 0], -TANGENT, TANGENT)
    gain = 2 * (move * pull).sum(-1) - np.einsum("pi,pij,pj->p", move, bend, move)
    return move * (gain > 0)[:, None], np.maximum(gain, 0)
