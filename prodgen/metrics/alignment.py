"""The shift that aligns one image best with another: whole pixels by search, parts of a pixel by
the tangent.

A shift's mean squared difference is a sum of products, |a|^2 - 2 a.b + |b|^2 over the overlap, so
that a.b of many shifts and partners is a matrix product. The reduction by a move of parts of a
pixel follows from products with the slopes of a: the tangent distance of Simard, LeCun & Denker
1993 ("Efficient Pattern Recognition Using a New Transformation Distance", NIPS 5).
"""

from __future__ import annotations

import numpy as np

MAX_TANGENT_MOVE = 1.0  # pixels for which the tangent is used
TIE_PENALTY = 1e-7  # of the mean squares, a squared pixel: prefers the smaller of equal shifts
TANGENT_RIDGE = 1e-3  # squared levels, added to the slopes' squares: flat images stay invertible


def align(
    a: np.ndarray, b: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(least mean squared difference [G, V, K], its move [G, V, K, 2] in pixels and parts).

    In each of G groups, V images `a` float32 [G, V, H, W, C] are compared with K images `b`
    [G, K, H, W, C], moved by every shift (down, right) from `low` int [G, 2] to `high` [G, 2].
    """
    # Smaller numbers keep more digits.
    mean = a.reshape(len(a), -1).mean(1)[:, None, None, None, None]
    a, b = a - mean, b - mean
    steps = (high - low).max(0) + 1
    layers = np.stack([a, *np.gradient(a, axis=(2, 3))], axis=2)  # a and its slopes
    square, slope_products = _differences_by_shift(_frame_layers(layers, low, steps), b, low, steps)
    # What the best move by parts of a pixel takes from each shift's difference.
    rows = layers.reshape(*layers.shape[:3], -1)
    gram = np.vecdot(rows[:, :, :, None], rows[:, :, None]) / rows.shape[-1]
    part, reduction = _tangent_step(slope_products, gram[:, :, 1:, 1:])
    square = np.maximum(square - reduction, 0)

    # The best shift of each pair: a small cost prefers short ones, beyond `high` none is allowed.
    shifts = low[:, None, None] + np.stack(np.mgrid[: steps[0], : steps[1]], -1)
    rows = b.reshape(*b.shape[:2], -1)
    power = gram[:, :, None, 0, 0] + np.vecdot(rows, rows)[:, None] / rows.shape[-1]
    cost = TIE_PENALTY * power[..., None, None] * np.square(shifts).sum(-1)[:, None, None]
    cost += np.where((shifts > high[:, None, None]).any(-1), np.inf, 0)[:, None, None]
    best = (square + cost).reshape(*power.shape, -1).argmin(-1)
    index = (*np.indices(power.shape, sparse=True), *np.divmod(best, steps[1]))
    moves = shifts[index[0], index[-2], index[-1]] - np.stack([x[index] for x in part], -1)
    return square[index], moves


def _frame_layers(layers: np.ndarray, low: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """[G, V, 3, H + S - 1, W + T - 1, C], the layers of a in a frame of zeros.

    The window of b's size at (0, 0) holds a shifted by `low`, at (1, 0) by one pixel more, and so
    on.
    """
    sides = np.array(layers.shape[3:5])
    frame = np.zeros((*layers.shape[:3], *(sides + steps - 1), layers.shape[-1]), np.float32)
    start, stop = np.maximum(low, 0), np.minimum(sides + low + steps - 1, sides)
    for group, (begin, end, shift) in enumerate(zip(start, stop, low, strict=True)):
        source = tuple(slice(*ends) for ends in zip(begin, end, strict=True))
        target = tuple(slice(*ends) for ends in zip(begin - shift, end - shift, strict=True))
        frame[group, :, :, *target] = layers[group, :, :, *source]
    return frame


def _differences_by_shift(
    frame: np.ndarray, b: np.ndarray, low: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means over the overlap, for each of S x T shifts: the squared difference [G, V, K, S, T], and
    the products [2, G, V, K, S, T] of difference and slopes."""
    height, width, channels = b.shape[2:]
    # Sums of squares of b over its overlap with the shifted a.
    down, right = np.arange(steps[0])[:, None], np.arange(steps[1])[:, None]
    rows = _is_inside(low[:, 0, None, None] + down + np.arange(height), height)
    columns = _is_inside(low[:, 1, None, None] + right + np.arange(width), width)
    columns = columns.repeat(channels, 2).swapaxes(1, 2)
    count = rows.sum(2)[:, :, None] * columns.sum(1)[:, None]
    b_squares = rows[:, None] @ np.square(b).reshape(*b.shape[:3], -1) @ columns[:, None]

    # Sums over each window of the frame: the products of a with itself and with its slopes.
    rows = _is_inside(np.arange(steps[0] + height - 1) - down, height)
    columns = _is_inside(np.arange(steps[1] + width - 1) - right, width).repeat(channels, 1)
    sums = (frame * frame[:, :, :1]).reshape(*frame.shape[:4], -1)
    sums = (rows @ sums @ columns.T)[:, :, :, None]  # [G, V, 3, 1, S, T]
    # Layer 0 is |a|^2 - 2 a.b; layers 1 and 2 are the slopes times (a - b).
    factor = np.array([2, 1, 1])
    sums = sums - factor[:, None, None, None] * _window_products(frame, b, steps)
    sums = np.moveaxis(sums, 2, 0) / count[:, None, None]
    return sums[0] + b_squares[:, None] / count[:, None, None], sums[1:]


def _window_products(frame: np.ndarray, b: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """float32 [G, V, 3, K, S, T]: sums of products of b with each window on the frames."""
    width, row = b.shape[3], b[0, 0, 0].size
    # One strip for each shift to the right; each shift down is then a slice of its rows.
    strips = np.stack([frame[..., t : t + width, :] for t in range(steps[1])], 1)
    strips = strips.reshape(len(b), -1, frame.shape[3] * row)  # [G, T V 3, (H + S - 1) W C]
    partners = b.reshape(*b.shape[:2], -1).swapaxes(1, 2)
    starts = row * np.arange(steps[0])
    products = [strips[:, :, start : start + partners.shape[1]] @ partners for start in starts]
    products = np.stack(products).reshape(steps[0], len(b), steps[1], *frame.shape[1:3], -1)
    return products.transpose(1, 3, 4, 5, 0, 2)


def _is_inside(position: np.ndarray, side: int) -> np.ndarray:
    """float32: 1 where a position lies within a side, 0 elsewhere."""
    return ((position >= 0) & (position < side)).astype(np.float32)


def _tangent_step(slope_products: np.ndarray, gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(move [2, G, V, ...] of up to MAX_TANGENT_MOVE pixels, its reduction of the squared
    difference).

    `slope_products` [2, G, V, ...] are the mean products of slopes and difference, `gram`
    [G, V, 2, 2] those of the slopes with each other.
    """
    gram = gram + TANGENT_RIDGE * np.eye(2, dtype=np.float32)
    move = np.einsum("gvij,jgvkst->igvkst", np.linalg.inv(gram), slope_products)
    move = np.clip(move, -MAX_TANGENT_MOVE, MAX_TANGENT_MOVE)
    change = np.einsum("gvij,jgvkst->igvkst", gram, move)
    reduction = (move * (2 * slope_products - change)).sum(0)
    return move * (reduction > 0), np.maximum(reduction, 0)
