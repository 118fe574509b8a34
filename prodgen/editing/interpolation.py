"""Interpolation between latents, and between whole products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prodgen.core.types import Batch


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray, linear_norm: bool = False) -> np.ndarray:
    """Points float32 [T, Z] on the great arc from a to b [Z] at shares t [T] (Shoemake 1985).

    In many dimensions the straight line passes through norms that a normal prior never has (White
    2016). linear_norm: interpolate the direction on the arc and the norm linearly. Nearly parallel
    latents are interpolated linearly.
    """
    norms = np.linalg.norm(a), np.linalg.norm(b)
    cosine = np.dot(a, b) / max(norms[0] * norms[1], 1e-12)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    t = t[:, None]
    if np.sin(angle) < 1e-4 or (linear_norm and min(norms) < 1e-6):
        return ((1 - t) * a + t * b).astype(np.float32)
    weight_a, weight_b = np.sin((1 - t) * angle), np.sin(t * angle)
    if not linear_norm:
        return ((weight_a * a + weight_b * b) / np.sin(angle)).astype(np.float32)
    direction = weight_a / np.sin(angle) * (a / norms[0]) + weight_b / np.sin(angle) * (
        b / norms[1]
    )
    return (((1 - t) * norms[0] + t * norms[1]) * direction).astype(np.float32)


def interpolate_products(
    z: np.ndarray, conditions: Batch, share: Sequence[float]
) -> tuple[np.ndarray, Batch]:
    """Latents [S, Z] and conditions from the first of two products [2, ...] to the second.

    Latents go along the great arc, numbers and angles linearly; a category, a value or an unknown
    attribute changes at one half.
    """
    t = np.asarray(share, np.float32)
    is_second = t >= 0.5
    # The rows are (first, second); reversed, because np.where takes the second one first.
    label = np.where(is_second, *conditions["label"][::-1])
    known = np.where(is_second[:, None], *conditions["known"][::-1])
    first, second = conditions["attributes"]
    linear = (1 - t)[:, None] * first + t[:, None] * second
    nearer = np.where(is_second[:, None], second, first)
    both_known = conditions["known"].all(axis=0)
    new_conditions = {
        "label": label.astype(np.int32),
        "attributes": np.where(both_known, linear, nearer).astype(np.float32),
        "known": known,
    }
    return slerp(z[0], z[1], t, linear_norm=True), new_conditions
