"""--mode=augment_preview: what the discriminator sees: real images and augmented versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import (
    MAX_IMAGES,
    PngOptions,
    RunDataOptions,
    SeedOptions,
    images_option,
)
from prodgen.apps.common.output import Output
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.errors import UsageError

if TYPE_CHECKING:
    from prodgen.model import Model

NUM_VERSIONS = 7  # augmented versions of each image
MIN_P = 0.5  # shown, at least: an adaptive p may be near 0, where nothing would change


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, SeedOptions, PngOptions):
    """Of --mode=augment_preview."""

    output = "augment_preview.png"

    n: int = option(8, "Rows: images.", low=1, high=MAX_IMAGES)
    input: tuple[str, ...] = images_option("image", "the run's test split")


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write the sheet of --n rows: a real image, then seven versions of it."""
    from prodgen.apps.common import input_images

    target, augment = out.locate(options.output), model.config.augment
    if augment.policy == "none":
        raise UsageError(
            "the run was trained without augmentation",
            "choose a run with a config.augment.policy other than none",
        )
    real, _, names, _ = input_images.read_images(model, options.input, options.n)
    # The fixed p of the run, or the adaptive one of the checkpoint.
    extras, p = model.run.state.extras, float(augment.p)
    if "augment_p" in extras:
        p = max(MIN_P, round(float(extras["augment_p"]), 4))
    rows = np.concatenate([real[:, None], augment_images(model, real, p, options.seed)], axis=1)
    cells = rows.reshape(-1, *model.spec.shape)
    details = {"policy": augment.policy, "flip": augment.flip, "p": p, "pictures": names}
    sheet = pixels.draw_contact_sheet(cells, 1 + NUM_VERSIONS, side=96)
    out.write_png(target.name, sheet, details, "augmented")
    return out.close()


def augment_images(model: Model, real: np.ndarray, p: float, seed: int) -> np.ndarray:
    """Seven versions of each image uint8 [N, H, W, C] by the run's policy: [N, 7, H, W, C]."""
    import jax

    from prodgen.augment import policies
    from prodgen.core import rng

    policy = policies.make(model.config.augment.policy, model.config.augment.flip)
    white = (255,) * model.spec.channels
    background = pixels.to_float(np.uint8(model.spec.background or white))
    inputs = pixels.to_float(real.repeat(NUM_VERSIONS, axis=0))
    slots = np.arange(len(inputs))
    uniforms = rng.uniform(rng.key(seed, "augment"), slots, (policy.num_uniforms,))
    versions = pixels.to_uint8(jax.jit(policy)(inputs, uniforms, p, background))
    return np.asarray(versions).reshape(len(real), NUM_VERSIONS, *real.shape[1:])
