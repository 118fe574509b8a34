"""--mode=augment_preview: what the discriminator saw: real pictures beside augmented versions."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

from prodgen import images, rng
from prodgen.apps.photos import read_pictures
from prodgen.apps.request import Output, Request
from prodgen.augment import policies
from prodgen.errors import UsageError
from prodgen.model import Model

VERSIONS = 7  # augmented versions of each picture
SEEN = 0.5  # an adaptive run may stand near 0, where the sheet would show nothing


def run(model: Model, request: Request) -> list[Path]:
    """Write the sheet of --n (8) rows: a real picture, then seven versions of it."""
    augment = model.config.augment
    if augment.policy == "none":
        raise UsageError(
            "the run was trained without augmentation",
            "choose a run with a config.augment.policy other than none",
        )
    pictures, _, names = read_pictures(model, request, request.n or 8)
    p = probability(model)
    shown = [pictures[:, None], augmented(model, pictures, p, request.seed)]
    rows = np.concatenate(shown, axis=1).reshape(-1, *model.spec.shape)
    target = request.target("augment_preview.png")
    out = Output(model, request, target.parent)
    sheet = images.sheet(rows, 1 + VERSIONS, pixels=96)
    details = {"policy": augment.policy, "flip": augment.flip, "p": p, "pictures": names}
    out.png(target.name, sheet, details, "augmented")
    return out.close()


def probability(model: Model) -> float:
    """The run's p: the fixed one, or the adaptive one as the checkpoint has it, at least 0.5."""
    extras = model.run.state.extras
    if "augment_p" not in extras:
        return float(model.config.augment.p)
    return max(SEEN, round(float(extras["augment_p"]), 4))


def augmented(model: Model, pictures: np.ndarray, p: float, seed: int) -> np.ndarray:
    """Seven versions of each picture uint8 [N, H, W, C] by the run's policy: [N, 7, H, W, C]."""
    policy = policies.make(model.config.augment.policy, model.config.augment.flip)
    white = (255,) * model.spec.channels
    background = images.to_float(np.uint8(model.spec.background or white))
    repeated = images.to_float(pictures.repeat(VERSIONS, axis=0))
    slots = np.arange(len(repeated))
    uniforms = rng.uniform(rng.key(seed, "augment"), slots, (policy.numbers,))
    found = images.to_uint8(jax.jit(policy)(repeated, uniforms, p, background))
    return np.asarray(found).reshape(len(pictures), VERSIONS, *pictures.shape[1:])
