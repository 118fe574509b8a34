"""--mode=interpolate: from one product to another of its category, as a strip and an animation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common.options import MAX_IMAGES, SampleOptions, frames_option
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
    """Write --n rows of --frames pictures, and an APNG that runs through them and back."""
    target, rows, frames = out.locate(options.output), options.n, options.frames
    ends = model.latents(np.arange(2 * rows), options.seed, options.temperature)
    t = np.linspace(0.0, 1.0, frames)
    z = np.concatenate([slerp(ends[2 * i], ends[2 * i + 1], t) for i in range(rows)])
    conditions = _conditions(model, options, rows, t)
    pictures = model.decode(z, conditions)
    details = {"ends": ends.tolist(), "frames": frames}
    strip = pixels.draw_contact_sheet(pictures, frames, side=96)
    out.png(target.name, strip, details)
    moving = _frames(pictures, rows, frames)
    out.apng(target.stem + "_moving.png", moving, details)
    return out.close()


def _conditions(model: Model, options: Options, rows: int, t: np.ndarray) -> Batch:
    """The category of each row's first product throughout; attributes change evenly."""
    start = model.conditions.pick(options.seed, np.arange(rows), options.label, options.attributes)
    names = [model.spec.classes[i] if i >= 0 else "" for i in start["label"]]
    picks = [
        model.conditions.pick(options.seed + 1, np.array([i]), name, options.attributes)
        for i, name in enumerate(names)
    ]
    end = {key: np.concatenate([pick[key] for pick in picks]) for key in picks[0]}
    w = t.astype(np.float32)[None, :, None]
    mixed = (1 - w) * start["attributes"][:, None] + w * end["attributes"][:, None]
    return {
        "label": start["label"].repeat(len(t)),
        "attributes": mixed.reshape(rows * len(t), -1),
        "known": (start["known"] & end["known"]).repeat(len(t), axis=0),
    }


def _frames(pictures: np.ndarray, rows: int, frames: int) -> list[np.ndarray]:
    """All rows side by side, forwards and backwards."""
    film = pictures.reshape(rows, frames, *pictures.shape[1:])
    forward = [
        pixels.enlarge(np.concatenate(film[:, i], axis=1)[None], 96)[0] for i in range(frames)
    ]
    return forward + forward[-2:0:-1]
