"""--mode=interpolate: from one product to another of its category, as a strip and an animation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.option_groups import MAX_IMAGES, SampleOptions, frames_option
from prodgen.apps.common.output import Output
from prodgen.cli.options import option
from prodgen.core import pixels
from prodgen.core.types import Batch
from prodgen.editing.interpolation import slerp

if TYPE_CHECKING:
    from prodgen.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(SampleOptions):
    """Of --mode=interpolate."""

    output = "interpolate.png"

    n: int = option(4, "Rows.", low=1, high=MAX_IMAGES)
    frames: int = frames_option()


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write --n rows of --frames images, and an APNG that runs through them and back."""
    target, rows, frames = out.locate(options.output), options.n, options.frames
    t = np.linspace(0.0, 1.0, frames)
    conditions = interpolate_conditions(model, options, rows, t)
    labels = conditions["label"][::frames].repeat(2)
    ends = model.latents(np.arange(2 * rows), options.seed, options.temperature, labels)
    z = np.concatenate([slerp(ends[2 * i], ends[2 * i + 1], t) for i in range(rows)])
    samples = model.decode(z, conditions)
    details = {"ends": ends.tolist(), "frames": frames}
    out.write_png(target.name, pixels.draw_contact_sheet(samples, frames, side=96), details)

    # The animation: all rows side by side, forwards and backwards.
    grid = samples.reshape(rows, frames, *samples.shape[1:])
    forward = [
        pixels.enlarge(np.concatenate(grid[:, i], axis=1)[None], 96)[0] for i in range(frames)
    ]
    out.write_apng(target.stem + "_moving.png", forward + forward[-2:0:-1], details)
    return out.close()


def interpolate_conditions(model: Model, options: Options, rows: int, t: np.ndarray) -> Batch:
    """Conditions of all frames: the category of each row's first product; attributes linearly."""
    start = model.conditions.pick(options.seed, np.arange(rows), options.label, options.attributes)
    # The second product of each row has the first one's category.
    names = [model.spec.classes[i] if i >= 0 else "" for i in start["label"]]
    picks = [
        model.conditions.pick(options.seed + 1, np.array([i]), name, options.attributes)
        for i, name in enumerate(names)
    ]
    end = {key: np.concatenate([pick[key] for pick in picks]) for key in picks[0]}
    w = t.astype(np.float32)[None, :, None]
    attributes = (1 - w) * start["attributes"][:, None] + w * end["attributes"][:, None]
    return {
        "label": start["label"].repeat(len(t)),
        "attributes": attributes.reshape(rows * len(t), -1),
        "known": (start["known"] & end["known"]).repeat(len(t), axis=0),
    }
