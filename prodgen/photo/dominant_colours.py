"""Palettes of dominant colours, and the difference between two palettes."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.photo.colorimetry import ciede2000, srgb_to_lab

MAX_LLOYD_ITERATIONS = 50  # of k-means; a palette converges within about 20
MASS_UNITS = 1_000_000  # in which a palette's weights are transported
DISTANCE_EPSILON = 1e-12  # a path that is shorter by less is not shorter


@dataclasses.dataclass(frozen=True)
class Palette:
    """The dominant colours of an image, the most frequent first.

    colours: float64 [k, 3] in Lab. weights: float64 [k], shares of the pixels, they sum to 1.
    """

    colours: np.ndarray
    weights: np.ndarray


def extract_palette(pixels: np.ndarray, k: int = 5) -> Palette:
    """The `k` dominant colours of sRGB pixels uint8 [..., 3]: deterministic k-means in Lab.

    Pixels are binned into cells of 8 levels a channel, each with its true mean. So an image of few
    flat colours keeps them exactly, and the order of the pixels does not matter. The first centre
    is the most frequent cell. The next is always the cell with the largest weight times squared
    distance to the nearest centre: k-means++ (Arthur & Vassilvitskii 2007) with its most likely
    choice instead of a random one. Lloyd's iterations follow. Fewer colours than `k` where there
    are fewer cells. No pixels, or a `k` below 1: ValueError.
    """
    pixels = np.asarray(pixels).reshape(-1, np.shape(pixels)[-1])
    if k < 1 or not len(pixels):
        raise ValueError(f"a palette needs k >= 1 and pixels, not k = {k} of {len(pixels)} pixels")
    points, weights = _bin_colours(pixels)
    # Initial centres, as k-means++.
    chosen_cells = [int(weights.argmax())]
    distance_sq = np.square(points - points[chosen_cells[0]]).sum(-1)
    while len(chosen_cells) < min(k, len(points)):
        chosen_cells.append(int((weights * distance_sq).argmax()))
        to_newest = np.square(points - points[chosen_cells[-1]]).sum(-1)
        distance_sq = np.minimum(distance_sq, to_newest)
    centres = points[chosen_cells]
    # Lloyd's iterations; a centre that has lost all its points stays where it was.
    nearest = np.zeros(len(points), int)
    for _ in range(MAX_LLOYD_ITERATIONS):
        nearest = np.square(points[:, None] - centres[None]).sum(-1).argmin(1)
        members = [nearest == j for j in range(len(centres))]
        means = np.stack([
            np.average(points[m], axis=0, weights=weights[m]) if m.any() else centre
            for m, centre in zip(members, centres, strict=True)
        ])  # fmt: skip
        if np.array_equal(means, centres):
            break
        centres = means
    shares = np.bincount(nearest, weights, minlength=len(centres))
    is_used = shares > 0
    order = np.argsort(-shares[is_used], kind="stable")
    return Palette(centres[is_used][order], shares[is_used][order] / shares.sum())


def _bin_colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean Lab [M, 3] and the number of pixels [M] of every occupied cell of 8 levels."""
    cell = (pixels >> 3).astype(np.int64)
    code = cell[:, 0] * 1024 + cell[:, 1] * 32 + cell[:, 2]
    counts = np.bincount(code, minlength=32768)
    occupied_codes = np.flatnonzero(counts)
    lab = srgb_to_lab(pixels)
    sums = [np.bincount(code, lab[:, i], minlength=32768)[occupied_codes] for i in range(3)]
    means = np.stack(sums, axis=1) / counts[occupied_codes, None]
    return means, counts[occupied_codes].astype(np.float64)


def palette_difference(first: Palette, second: Palette) -> float:
    """The mean CIEDE2000 by which a pixel changes when one palette is turned into the other.

    The earth mover's distance (Rubner, Tomasi, Guibas 2000) with CIEDE2000 as the ground distance
    and both masses 1: exact up to weights rounded to a millionth, by shortest augmenting paths in
    the bipartite graph of colours; for palettes of some ten colours. Symmetric, 0 for equal
    palettes.
    """
    cost = ciede2000(first.colours[:, None], second.colours[None])
    flow = _optimal_transport(cost, _whole_units(first.weights), _whole_units(second.weights))
    return float((flow * cost).sum() / MASS_UNITS)


def _whole_units(weights: np.ndarray) -> np.ndarray:
    """Integers that sum to MASS_UNITS: the largest remainders are rounded up."""
    exact = np.asarray(weights, np.float64) / np.sum(weights) * MASS_UNITS
    units = np.floor(exact).astype(np.int64)
    num_missing = int(MASS_UNITS - units.sum())
    units[np.argsort(units - exact, kind="stable")[:num_missing]] += 1
    return units


def _optimal_transport(cost: np.ndarray, supply: np.ndarray, demand: np.ndarray) -> np.ndarray:
    """The cheapest integer flow [n, m] with the given row sums and column sums.

    Successive shortest paths (Ahuja, Magnanti, Orlin 1993, chapter 9.7): every path is the
    cheapest from a row with supply to a column with demand, over arcs and, backwards, over flow.
    """
    supply, demand, flow = supply.copy(), demand.copy(), np.zeros(cost.shape, np.int64)
    while supply.any():
        distance, row_before, column_before = _shortest_paths(cost, flow, supply > 0)
        end = int(np.where(demand > 0, distance, np.inf).argmin())
        # From the end to the start: (row, column) forwards, and the column before, -1 at the start.
        path, j = [], end
        while True:
            i = int(row_before[j])
            path.append((i, j, int(column_before[i])))
            if column_before[i] < 0:
                break
            j = int(column_before[i])
        start = path[-1][0]
        amount = min(supply[start], demand[end], *(flow[i, b] for i, _, b in path if b >= 0))
        for i, j, b in path:
            flow[i, j] += amount
            if b >= 0:
                flow[i, b] -= amount
        supply[start] -= amount
        demand[end] -= amount
    return flow


def _shortest_paths(
    cost: np.ndarray, flow: np.ndarray, is_source: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bellman-Ford: the distance of each column from the sources, and the predecessors.

    Predecessors: the row before each column, and the column before each row (-1: a source).
    """
    rows, columns = cost.shape
    row_distance, column_distance = np.where(is_source, 0.0, np.inf), np.full(columns, np.inf)
    row_before, column_before = np.zeros(columns, int), np.full(rows, -1)
    for _ in range(rows):
        # Forwards over every arc, then backwards over arcs that carry flow.
        length = row_distance[:, None] + cost
        shortest = length.min(0)
        is_shorter = shortest < column_distance - DISTANCE_EPSILON
        column_distance[is_shorter] = shortest[is_shorter]
        row_before[is_shorter] = length.argmin(0)[is_shorter]
        length = np.where(flow > 0, column_distance[None] - cost, np.inf)
        shortest = length.min(1)
        is_shorter = shortest < row_distance - DISTANCE_EPSILON
        if not is_shorter.any():
            break
        row_distance[is_shorter] = shortest[is_shorter]
        column_before[is_shorter] = length.argmin(1)[is_shorter]
    return column_distance, row_before, column_before
