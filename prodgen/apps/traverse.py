"""--mode=traverse: what the model learnt: one latent at a time, the most active first."""

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

MAX_Z = 2.5  # standard deviations of the prior to either side
NUM_SAMPLES = 256  # of the model, whose encodings show which latents it uses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Of --mode=traverse."""

    output = "traverse.png"

    n: int = option(10, "Rows: latents.", low=1, high=MAX_IMAGES)
    frames: int = frames_option()


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write a sheet of --n rows; in each, one latent goes from -2.5 to 2.5."""
    target = out.locate(options.output)
    activity = latent_activity(model, options.seed)
    rows = min(options.n, len(activity))
    order = np.argsort(-activity, kind="stable")[:rows]
    values = np.linspace(-MAX_Z, MAX_Z, options.frames, dtype=np.float32)
    # The base is drawn at half the temperature: it lies nearer to the prior's mean.
    row = model.conditions.pick(options.seed, np.zeros(1, int), options.label, options.attributes)
    first = np.zeros(1, np.int64)
    base = model.latents(first, options.seed, 0.5 * options.temperature, row["label"])[0]
    # Each row of the sheet replaces one latent of the same base.
    z = np.repeat(base[None], rows * len(values), axis=0)
    for i, latent in enumerate(order):
        z[i * len(values) : (i + 1) * len(values), latent] = values
    conditions = {name: value.repeat(len(z), axis=0) for name, value in row.items()}
    names = [f"z{latent} ({activity[latent]:.2f})" for latent in order]
    sheet = pixels.draw_contact_sheet(
        model.decode(z, conditions), len(values), row_names=names, side=96
    )
    details = {
        "latents": order.tolist(),
        "activity": [round(float(activity[latent]), 4) for latent in order],
        "values": values.tolist(),
        "base": base.tolist(),
    }
    out.write_png(target.name, sheet, details)
    return out.close()


def latent_activity(model: Model, seed: int) -> np.ndarray:
    """How active each latent is, [Z].

    With an encoder: the variance of its posterior mean over the model's own samples. It is near 1
    for a latent that changes the images, 0 for an unused one. Without an encoder: the length of
    its row in the first layer, as a share of the longest.
    """
    if not model.encodes:
        lengths = np.linalg.norm(model.first_layer(), axis=1)
        return lengths / max(lengths.max(), 1e-12)
    indices = np.arange(NUM_SAMPLES)
    conditions = model.conditions.pick(seed, indices)
    samples = model.decode(model.latents(indices, seed, label=conditions["label"]), conditions)
    return model.encode(samples, conditions).var(axis=0)
