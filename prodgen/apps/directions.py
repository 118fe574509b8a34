"""--mode=directions: along the principal components of the layer that a latent meets first.

The directions of the latent that this layer amplifies most change an image most; no labels are
needed (Shen & Zhou 2021, eq. 4).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import MAX_IMAGES, SampleOptions, frames_option
from prodgen.apps.common.output import Output
from prodgen.cli.options import option
from prodgen.core import pixels

if TYPE_CHECKING:
    from prodgen.model import Model

MAX_Z = 3.0  # standard deviations to either side


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Of --mode=directions."""

    output = "directions.png"

    n: int = option(8, "Rows: directions.", low=1, high=MAX_IMAGES)
    frames: int = frames_option()


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write a sheet of --n rows; in each, a product goes along one direction."""
    target = out.locate(options.output)
    directions, gains = principal_directions(model.first_layer())
    rows = min(options.n, len(directions))
    values = np.linspace(-MAX_Z, MAX_Z, options.frames, dtype=np.float32)
    row = model.conditions.pick(options.seed, np.zeros(1, int), options.label, options.attributes)
    first = np.zeros(1, np.int64)
    base = model.latents(first, options.seed, options.temperature, row["label"])[0]
    z = np.concatenate([move_along(base, direction, values) for direction in directions[:rows]])
    conditions = {name: value.repeat(len(z), axis=0) for name, value in row.items()}
    names = [f"{i + 1} ({gain:.2f})" for i, gain in enumerate(gains[:rows])]
    sheet = pixels.draw_contact_sheet(
        model.decode(z, conditions), len(values), row_names=names, side=96
    )
    details = {
        "directions": directions[:rows].tolist(),
        "gains": gains[:rows].tolist(),
        "values": values.tolist(),
        "base": base.tolist(),
    }
    out.write_png(target.name, sheet, details)
    return out.close()


def principal_directions(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(unit directions [Z, Z], their gains [Z]) of a matrix [Z, features], the largest gain first.

    The eigenvectors of A A^T: z @ A is longest along the first. Each one's largest entry is
    positive, so that the same weights give the same directions.
    """
    eigenvalues, vectors = np.linalg.eigh(np.asarray(matrix, np.float64) @ np.asarray(matrix.T))
    order = np.argsort(-eigenvalues, kind="stable")
    rows = vectors.T[order]
    signs = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)])
    return (rows * signs[:, None]).astype(np.float32), np.sqrt(np.maximum(eigenvalues[order], 0))


def move_along(base: np.ndarray, direction: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Latents [T, Z]: `base` [Z], its component along a unit direction replaced by `values` [T]."""
    rest = base - (base @ direction) * direction
    return (rest + values[:, None] * direction).astype(np.float32)
