"""--mode=interpolate: from one product to another of its category, as a strip and an animation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodgen import images
from prodgen.apps.request import Output, Request
from prodgen.model import Model
from prodgen.types import Batch


def run(model: Model, request: Request) -> list[Path]:
    """Write --n (4) rows of --frames pictures, and an APNG that runs through them and back."""
    rows, frames = request.n or 4, request.frames
    ends = model.latents(np.arange(2 * rows), request.seed, request.temperature)
    t = np.linspace(0.0, 1.0, frames)
    z = np.concatenate([spherical(ends[2 * i], ends[2 * i + 1], t) for i in range(rows)])
    conditions = _conditions(model, request, rows, t)
    pictures = model.decode(z, conditions)
    target = request.target("interpolate.png")
    out = Output(model, request, target.parent)
    details = {"ends": ends.tolist(), "frames": frames}
    strip = images.sheet(pictures, frames, pixels=96)
    out.png(target.name, strip, details)
    moving = _frames(pictures, rows, frames)
    out.apng(target.stem + "_moving.png", moving, details)
    return out.close()


def spherical(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points [T, Z] on the great arc from a to b [Z] at t in 0..1 (Shoemake 1985).

    In many dimensions the straight line passes through lengths that a normal prior never has.
    """
    cosine = np.dot(a, b) / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    t = t[:, None]
    if np.sin(angle) < 1e-6:
        return ((1 - t) * a + t * b).astype(np.float32)
    weights = np.sin((1 - t) * angle), np.sin(t * angle)
    return ((weights[0] * a + weights[1] * b) / np.sin(angle)).astype(np.float32)


def _conditions(model: Model, request: Request, rows: int, t: np.ndarray) -> Batch:
    """The category of each row's first product throughout; attributes change evenly."""
    start = model.conditions.pick(request.seed, np.arange(rows), request.label, request.attributes)
    names = [model.spec.classes[i] if i >= 0 else "" for i in start["label"]]
    picks = [
        model.conditions.pick(request.seed + 1, np.array([i]), name, request.attributes)
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
        images.enlarge(np.concatenate(film[:, i], axis=1)[None], 96)[0] for i in range(frames)
    ]
    return forward + forward[-2:0:-1]
