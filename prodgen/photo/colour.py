"""Colour as people see it: CIELAB, the CIEDE2000 difference, palettes and how far apart they are.

Lab is CIELAB under D65, 2 degree observer: L* in [0, 100], a* and b* about -128 .. 127, float64.
A CIEDE2000 difference of 1 is about the least that is noticed side by side; 2 to 3 passes as the
same colour in a catalogue, beyond 10 nobody calls it the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

# Linear sRGB to XYZ: IEC 61966-2-1's primaries and D65, unrounded (Lindbloom).
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_FROM_XYZ = np.linalg.inv(_TO_XYZ)
_WHITE = _TO_XYZ.sum(axis=1)  # the matrix's own white, so that every grey has a* = b* = 0
_SHARE = 1_000_000  # units of mass in which a palette's weights are moved
ROUNDS = 50  # of k-means; a palette settles within about 20


@dataclasses.dataclass(frozen=True)
class Palette:
    """The dominant colours of a picture, the heaviest first.

    colours: float64 [k, 3] in Lab. weights: float64 [k], shares of the pixels, they sum to 1.
    """

    colours: np.ndarray
    weights: np.ndarray


def lab(pixels: np.ndarray) -> np.ndarray:
    """CIELAB float64 [..., 3] of sRGB pixels [..., 3], uint8 or float in [0, 1].

    A float outside [0, 1] (a picture in [-1, 1], say) is a ValueError, never clipped.
    """
    pixels = np.asarray(pixels)
    if pixels.shape[-1:] != (3,):
        raise ValueError(f"sRGB pixels are [..., 3], not {list(pixels.shape)}")
    if pixels.dtype == np.uint8:
        light = linear(np.arange(256) / 255)[pixels]
    elif np.issubdtype(pixels.dtype, np.floating):
        if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):
            raise ValueError("sRGB floats lie in [0, 1]")
        light = linear(pixels.astype(np.float64))
    else:
        raise ValueError(f"sRGB pixels are uint8 or float, not {pixels.dtype}")
    f = _cube_root(light @ (_TO_XYZ / _WHITE[:, None]).T)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


def linear(values: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(light: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] to sRGB: the inverse of `linear`."""
    curve = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, light * 12.92, curve)


def light_of(colours: np.ndarray) -> np.ndarray:
    """Linear sRGB light float64 [..., 3] of Lab colours: outside [0, 1] where sRGB lacks them."""
    middle = (colours[..., 0] + 16) / 116
    f = np.stack([middle + colours[..., 1] / 500, middle, middle - colours[..., 2] / 200], -1)
    t = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    return (t * _WHITE) @ _FROM_XYZ.T


def _cube_root(t: np.ndarray) -> np.ndarray:
    """CIELAB's f, with its straight piece near black (CIE 15:2004)."""
    return np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)


def ciede2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The CIEDE2000 difference [...] of Lab colours [..., 3], which broadcast; kL = kC = kH = 1.

    Sharma, Wu, Dalal 2005, "The CIEDE2000 color-difference formula", eqs. 2 to 22, in float64.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    l1, l2 = first[..., 0], second[..., 0]
    mean_chroma = (np.hypot(*_ab(first)) + np.hypot(*_ab(second))) / 2
    g = 0.5 * (1 - np.sqrt(_saturating(mean_chroma)))
    c1, h1 = _chroma_hue(first, g)
    c2, h2 = _chroma_hue(second, g)
    grey = c1 * c2 == 0  # the hue of a grey is not defined: it has no difference to others
    turn = h2 - h1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    delta_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.deg2rad(np.where(grey, 0, turn) / 2))
    hue = _mean_hue(h1, h2, grey)
    chroma, lightness = (c1 + c2) / 2, (l1 + l2) / 2
    t = (
        1
        - 0.17 * _cos(hue - 30)
        + 0.24 * _cos(2 * hue)
        + 0.32 * _cos(3 * hue + 6)
        - 0.20 * _cos(4 * hue - 63)
    )
    middle = np.square(lightness - 50)
    dl = (l2 - l1) / (1 + 0.015 * middle / np.sqrt(20 + middle))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = delta_hue / (1 + 0.015 * chroma * t)
    angle = 60 * np.exp(-np.square((hue - 275) / 25))
    rotation = -np.sin(np.deg2rad(angle)) * 2 * np.sqrt(_saturating(chroma))
    # Rounding alone may push a sum of nearly nothing below zero.
    return np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0))


def _ab(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return colours[..., 1], colours[..., 2]


def _saturating(chroma: np.ndarray) -> np.ndarray:
    return chroma**7 / (chroma**7 + 25.0**7)


def _cos(degrees: np.ndarray) -> np.ndarray:
    return np.cos(np.deg2rad(degrees))


def _chroma_hue(colours: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C' and h' in [0, 360) degrees (Sharma's eqs. 5 to 7); the hue of a grey is 0."""
    a, b = (1 + g) * colours[..., 1], colours[..., 2]
    return np.hypot(a, b), np.rad2deg(np.arctan2(b, a)) % 360


def _mean_hue(h1: np.ndarray, h2: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Sharma's eq. 14: the middle of the shorter arc; the sum where one has no hue."""
    total = h1 + h2
    across = np.where(total < 360, total + 360, total - 360) / 2
    middle = np.where(np.abs(h1 - h2) <= 180, total / 2, across)
    return np.where(grey, total, middle)


def difference_to(pixels: np.ndarray, asked: Sequence[float]) -> float:
    """CIEDE2000 between the mean of a product's pixels uint8 [N, 3] and the asked sRGB colour.

    `asked`: three values in 0..255. The mean is taken of sRGB values, as a table's columns
    colour_r, colour_g, colour_b are. No pixels: ValueError.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim != 2 or not len(pixels):
        raise ValueError(f"a product's pixels are [N, 3] with N > 0, not {list(pixels.shape)}")
    mean = pixels.mean(axis=0, dtype=np.float64) / 255
    return float(ciede2000(lab(mean), lab(np.asarray(asked, np.float64) / 255)))


def palette(pixels: np.ndarray, k: int = 5) -> Palette:
    """The `k` dominant colours of sRGB pixels uint8 [..., 3]: k-means in Lab, always the same.

    Pixels are gathered into cells of 8 levels a channel, each with its true mean, so a picture of
    few flat colours keeps them exactly, and the order of the pixels does not matter. The start is
    the heaviest cell, then time and again the cell with the largest weight times squared distance
    to the nearest start: k-means++ (Arthur & Vassilvitskii 2007) with its most likely draw instead
    of a random one. Lloyd's rounds follow. Fewer colours than `k` where there are fewer cells. No
    pixels, or a `k` below 1: ValueError.
    """
    pixels = np.asarray(pixels).reshape(-1, np.shape(pixels)[-1])
    if k < 1 or not len(pixels):
        raise ValueError(f"a palette needs k >= 1 and pixels, not k = {k} of {len(pixels)} pixels")
    points, weights = _cells(pixels)
    centres = _start(points, weights, k)
    owner = np.zeros(len(points), int)
    for _ in range(ROUNDS):
        owner = np.square(points[:, None] - centres[None]).sum(-1).argmin(1)
        moved = np.stack([_mean(points, weights, owner == j, c) for j, c in enumerate(centres)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    shares = np.bincount(owner, weights, minlength=len(centres))
    kept = shares > 0
    order = np.argsort(-shares[kept], kind="stable")
    return Palette(centres[kept][order], shares[kept][order] / shares.sum())


def _cells(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean Lab [M, 3] and the number of pixels [M] of every occupied cell of 8 levels."""
    steps = (pixels >> 3).astype(np.int64)
    code = steps[:, 0] * 1024 + steps[:, 1] * 32 + steps[:, 2]
    counts = np.bincount(code, minlength=32768)
    used = np.flatnonzero(counts)
    colours = lab(pixels)
    sums = [np.bincount(code, colours[:, i], minlength=32768)[used] for i in range(3)]
    return np.stack(sums, axis=1) / counts[used, None], counts[used].astype(np.float64)


def _start(points: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    chosen = [int(weights.argmax())]
    gap = np.square(points - points[chosen[0]]).sum(-1)
    while len(chosen) < min(k, len(points)):
        chosen.append(int((weights * gap).argmax()))
        gap = np.minimum(gap, np.square(points - points[chosen[-1]]).sum(-1))
    return points[chosen]


def _mean(
    points: np.ndarray, weights: np.ndarray, own: np.ndarray, before: np.ndarray
) -> np.ndarray:
    """The mean of the own points; a centre that lost all of them stays where it was."""
    return np.average(points[own], axis=0, weights=weights[own]) if own.any() else before


def palette_difference(first: Palette, second: Palette) -> float:
    """Mean CIEDE2000 that the cheapest way of turning one palette into the other moves a pixel by.

    The earth mover's distance (Rubner, Tomasi, Guibas 2000) with CIEDE2000 as the ground distance
    and both masses 1: exact up to weights rounded to a millionth, by shortest augmenting paths in
    the bipartite graph of colours; meant for palettes of some ten colours. Symmetric, 0 for equal
    palettes.
    """
    cost = ciede2000(first.colours[:, None], second.colours[None])
    flow = _transport(cost, _units(first.weights), _units(second.weights))
    return float((flow * cost).sum() / _SHARE)


def _units(weights: np.ndarray) -> np.ndarray:
    """Whole units that sum to _SHARE: the largest remainders are rounded up."""
    exact = np.asarray(weights, np.float64) / np.sum(weights) * _SHARE
    whole = np.floor(exact).astype(np.int64)
    missing = int(_SHARE - whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:missing]] += 1
    return whole


def _transport(cost: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """The cheapest integer flow [n, m] with the given row sums and column sums.

    Successive shortest paths (Ahuja, Magnanti, Orlin 1993, chapter 9.7): every path is the
    cheapest from a row with supply to a column with demand, over arcs and, backwards, over flow.
    """
    supply, demand, flow = supply.copy(), demand.copy(), np.zeros(cost.shape, np.int64)
    while supply.any():
        row, column, forth, back = _shortest(cost, flow, supply > 0)
        end = int(np.where(demand > 0, column, np.inf).argmin())
        path, j = [], end
        while True:  # from the end to the start: (row, column) forwards, column backwards
            i = int(forth[j])
            path.append((i, j, int(back[i])))
            if back[i] < 0:
                break
            j = int(back[i])
        amount = min(supply[i], demand[end], *(flow[i, b] for i, _, b in path if b >= 0))
        for i, j, b in path:
            flow[i, j] += amount
            if b >= 0:
                flow[i, b] -= amount
        supply[path[-1][0]] -= amount
        demand[end] -= amount
    return flow


def _shortest(
    cost: np.ndarray, flow: np.ndarray, sources: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bellman-Ford's distances of rows and columns, and how each was reached (-1: a source)."""
    rows, columns = cost.shape
    row, column = np.where(sources, 0.0, np.inf), np.full(columns, np.inf)
    forth, back = np.zeros(columns, int), np.full(rows, -1)
    for _ in range(rows):
        reach = row[:, None] + cost
        best = reach.min(0)
        better = best < column - 1e-12
        column[better], forth[better] = best[better], reach.argmin(0)[better]
        reach = np.where(flow > 0, column[None] - cost, np.inf)
        best = reach.min(1)
        better = best < row - 1e-12
        if not better.any():
            break
        row[better], back[better] = best[better], reach.argmin(1)[better]
    return row, column, forth, back
