"""--mode=augment_preview: what the discriminator saw: real pictures beside augmented versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.options import MAX_IMAGES, PngOptions, RunOptions, SeedOptions
from prodgen.apps.common.output import Output
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.errors import UsageError

if TYPE_CHECKING:
    from prodgen.model import Model

VERSIONS = 7  # augmented versions of each picture
SEEN = 0.5  # an adaptive run may stand near 0, where the sheet would show nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions, SeedOptions, PngOptions):
    """Of --mode=augment_preview."""

    output = "augment_preview.png"

    n: int = option(8, "Rows: images.", low=1, high=MAX_IMAGES)
    input: str = option("", "An image or a folder of images; default: the run's test split.")


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write the sheet of --n rows: a real picture, then seven versions of it."""
    from prodgen.apps.common import photos

    target, augment = out.locate(options.output), model.config.augment
    if augment.policy == "none":
        raise UsageError(
            "the run was trained without augmentation",
            "choose a run with a config.augment.policy other than none",
        )
    pictures, _, names = photos.read_pictures(model, options.input, options.n)
    p = probability(model)
    shown = [pictures[:, None], augmented(model, pictures, p, options.seed)]
    rows = np.concatenate(shown, axis=1).reshape(-1, *model.spec.shape)
    sheet = pixels.draw_contact_sheet(rows, 1 + VERSIONS, side=96)
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
    import jax

    from prodgen.augment import policies
    from prodgen.core import rng

    policy = policies.make(model.config.augment.policy, model.config.augment.flip)
    white = (255,) * model.spec.channels
    background = pixels.to_float(np.uint8(model.spec.background or white))
    repeated = pixels.to_float(pictures.repeat(VERSIONS, axis=0))
    slots = np.arange(len(repeated))
    uniforms = rng.uniform(rng.key(seed, "augment"), slots, (policy.num_uniforms,))
    found = pixels.to_uint8(jax.jit(policy)(repeated, uniforms, p, background))
    return np.asarray(found).reshape(len(pictures), VERSIONS, *pictures.shape[1:])
