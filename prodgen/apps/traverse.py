"""--mode=traverse: what did the model learn? One latent at a time, the most active first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodgen import images
from prodgen.apps.request import Output, Request
from prodgen.model import Model

REACH = 2.5  # standard deviations of the prior to either side
PROBES = 256  # the model's own samples whose encodings say which latents it uses


def run(model: Model, request: Request) -> list[Path]:
    """Write a sheet of --n (10) rows; in each, one latent goes from -2.5 to 2.5."""
    activity = latent_activity(model, request.seed)
    rows = min(request.n or 10, len(activity))
    order = np.argsort(-activity, kind="stable")[:rows]
    values = np.linspace(-REACH, REACH, request.frames, dtype=np.float32)
    base = model.latents(np.zeros(1, np.int64), request.seed, 0.5 * request.temperature)[0]
    z = np.repeat(base[None], rows * len(values), axis=0)
    for row, latent in enumerate(order):
        z[row * len(values) : (row + 1) * len(values), latent] = values
    one = model.conditions.pick(request.seed, np.zeros(1, int), request.label, request.attributes)
    conditions = {name: value.repeat(len(z), axis=0) for name, value in one.items()}
    target = request.target("traverse.png")
    out = Output(model, request, target.parent)
    names = [f"z{latent} ({activity[latent]:.2f})" for latent in order]
    sheet = images.sheet(model.decode(z, conditions), len(values), rows=names, pixels=96)
    details = {
        "latents": order.tolist(),
        "activity": [round(float(activity[latent]), 4) for latent in order],
        "values": values.tolist(),
        "base": base.tolist(),
    }
    out.png(target.name, sheet, details)
    return out.close()


def latent_activity(model: Model, seed: int) -> np.ndarray:
    """How much each latent shows, [Z].

    With an encoder: the variance of its posterior mean over the model's own samples, near 1 for a
    latent that the decoder shows and the encoder reads back, 0 for one unused. Without: the length
    of its row in the first layer, as a share of the longest.
    """
    if not model.encodes:
        lengths = np.linalg.norm(model.first_layer(), axis=1)
        return lengths / max(lengths.max(), 1e-12)
    indices = np.arange(PROBES)
    conditions = model.conditions.pick(seed, indices)
    pictures = model.decode(model.latents(indices, seed), conditions)
    return model.encode(pictures, conditions).var(axis=0)
