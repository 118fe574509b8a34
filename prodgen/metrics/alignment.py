"""Where one picture lies best on another: whole shifts are tried, parts of a pixel computed.

A shift's mean squared difference is a sum of products, |a|^2 - 2 a.b + |b|^2 over the part that
overlaps, so that a.b of many shifts and partners is a matrix product. What a move by parts of a
pixel takes from it follows from products with the slopes of a: the tangent distance of Simard,
LeCun & Denker 1993 ("Efficient Pattern Recognition Using a New Transformation Distance", NIPS 5).
"""

from __future__ import annotations

import numpy as np

MAX_TANGENT_MOVE = 1.0  # pixels: how far the tangent stands for a move
TIE_PENALTY = (
    1e-7  # of the mean squares, for each squared pixel: of equal shifts the least is taken
)


def align(
    a: np.ndarray, b: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(least mean squared difference [G, V, K], its move [G, V, K, 2] in pixels and parts).

    In each of G groups, V pictures `a` float32 [G, V, H, W, C] are laid on K pictures `b`
    [G, K, H, W, C], moved by every shift (down, right) from `low` int [G, 2] to `high` [G, 2].
    """
    middle = a.reshape(len(a), -1).mean(1)[:, None, None, None, None]
    a, b = a - middle, b - middle  # of smaller numbers more digits are left
    steps = (high - low).max(0) + 1
    kinds = np.stack([a, *np.gradient(a, axis=(2, 3))], axis=2)
    square, pull = _differences(_framed(kinds, low, steps), b, low, steps)
    rows = kinds.reshape(*kinds.shape[:3], -1)
    bend = np.vecdot(rows[:, :, :, None], rows[:, :, None]) / rows.shape[-1]
    part, gain = _tangent(pull, bend[:, :, 1:, 1:])
    square = np.maximum(square - gain, 0)

    shifts = low[:, None, None] + np.stack(np.mgrid[: steps[0], : steps[1]], -1)
    rows = b.reshape(*b.shape[:2], -1)
    power = bend[:, :, None, 0, 0] + np.vecdot(rows, rows)[:, None] / rows.shape[-1]
    cost = TIE_PENALTY * power[..., None, None] * np.square(shifts).sum(-1)[:, None, None]
    cost += np.where((shifts > high[:, None, None]).any(-1), np.inf, 0)[:, None, None]
    best = (square + cost).reshape(*power.shape, -1).argmin(-1)
    place = (*np.indices(power.shape, sparse=True), *np.divmod(best, steps[1]))
    moves = shifts[place[0], place[-2], place[-1]] - np.stack([x[place] for x in part], -1)
    return square[place], moves


def _framed(kinds: np.ndarray, low: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """[G, V, 3, H + S - 1, W + T - 1, C], a and its slopes in zeros: what a window of the size of b
    shows of it at (0, 0) is a shifted by `low`, at (1, 0) by one pixel more, and so on."""
    sides = np.array(kinds.shape[3:5])
    frame = np.zeros((*kinds.shape[:3], *(sides + steps - 1), kinds.shape[-1]), np.float32)
    start, stop = np.maximum(low, 0), np.minimum(sides + low + steps - 1, sides)
    for group, (begin, end, shift) in enumerate(zip(start, stop, low, strict=True)):
        here = tuple(slice(*ends) for ends in zip(begin, end, strict=True))
        there = tuple(slice(*ends) for ends in zip(begin - shift, end - shift, strict=True))
        frame[group, :, :, *there] = kinds[group, :, :, *here]
    return frame


def _differences(
    frame: np.ndarray, b: np.ndarray, low: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means over the overlap, for each of S x T shifts: the squared difference [G, V, K, S, T], and
    the products [2, G, V, K, S, T] of difference and slopes."""
    height, width, channels = b.shape[2:]
    rows = _covered(low[:, 0], steps[0], height)
    columns = _covered(low[:, 1], steps[1], width).repeat(channels, 2).swapaxes(1, 2)
    count = rows.sum(2)[:, :, None] * columns.sum(1)[:, None]
    theirs = rows[:, None] @ np.square(b).reshape(*b.shape[:3], -1) @ columns[:, None]

    rows, columns = _windows(steps[0], height), _windows(steps[1], width).repeat(channels, 1)
    own = (frame * frame[:, :, :1]).reshape(*frame.shape[:4], -1)
    own = (rows @ own @ columns.T)[:, :, :, None]  # [G, V, 3, 1, S, T]
    own = own - (1 + (np.arange(3) == 0))[:, None, None, None] * _products(frame, b, steps)
    own = np.moveaxis(own, 2, 0) / count[:, None, None]
    return own[0] + theirs[:, None] / count[:, None, None], own[1:]


def _products(frame: np.ndarray, b: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """float32 [G, V, 3, K, S, T]: sums of products of b with each window on the frames."""
    width, row = b.shape[3], b[0, 0, 0].size
    strips = np.stack([frame[..., t : t + width, :] for t in range(steps[1])], 1)
    strips = strips.reshape(len(b), -1, frame.shape[3] * row)  # [G, T V 3, (H + S - 1) W C]
    partners = b.reshape(*b.shape[:2], -1).swapaxes(1, 2)
    starts = row * np.arange(steps[0])
    found = [strips[:, :, start : start + partners.shape[1]] @ partners for start in starts]
    found = np.stack(found).reshape(steps[0], len(b), steps[1], *frame.shape[1:3], -1)
    return found.transpose(1, 3, 4, 5, 0, 2)


def _covered(low: np.ndarray, steps: int, side: int) -> np.ndarray:
    """float32 [G, S, side]: 1 where a picture moved by low, low + 1, ... is over its partner."""
    place = low[:, None, None] + np.arange(steps)[:, None] + np.arange(side)
    return ((place >= 0) & (place < side)).astype(np.float32)


def _windows(steps: int, side: int) -> np.ndarray:
    """float32 [S, side + S - 1]: 1 where a window of a side is, moved by 0, 1, ..."""
    place = np.arange(steps + side - 1) - np.arange(steps)[:, None]
    return ((place >= 0) & (place < side)).astype(np.float32)


def _tangent(pull: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(move [2, G, V, ...] of up to TANGENT pixels, what it takes from a mean squared difference).

    `pull` [2, G, V, ...] are the mean products of slopes and difference, `bend` [G, V, 2, 2] of the
    slopes.
    """
    bend = bend + 1e-3 * np.eye(2, dtype=np.float32)
    move = np.einsum("gvij,jgvkst->igvkst", np.linalg.inv(bend), pull)
    move = np.clip(move, -MAX_TANGENT_MOVE, MAX_TANGENT_MOVE)
    gain = (move * (2 * pull - np.einsum("gvij,jgvkst->igvkst", bend, move))).sum(0)
    return move * (gain > 0), np.maximum(gain, 0)
