"""Photos composed of a known product, alpha and background."""

import numpy as np
from PIL import Image


def disc(side, radius, softness=1.0, down=0, right=0):
    """float [S, S]: 1 on a disc, its edge `softness` pixels wide."""
    y, x = (np.arange(side) + 0.5 - side / 2 - shift for shift in (down, right))
    away = radius - np.hypot(y[:, None], x[None])
    return np.clip(away / softness + 0.5, 0, 1)


def cloth(side, colour, seed=0):
    """float [S, S, 3]: a colour with folds of +-12 levels and some grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.normal(0, 12, (6, 6)).astype(np.float32))
    folds = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return np.clip(np.array(colour) + folds[..., None] + rng.normal(0, 2, (side, side, 1)), 0, 255)


def lit_background(side, colour, falloff=40, noise=1.5, seed=1):
    """float [S, S, 3]: a background whose light falls off by `fall` levels to one corner."""
    ramp = np.linspace(0, 1, side)
    light = falloff * (ramp[:, None] + ramp[None]) / 2
    grain = np.random.default_rng(seed).normal(0, noise, (side, side, 1))
    return np.clip(np.array(colour) - light[..., None] + grain, 0, 255)


def photo(product, alpha, ground):
    """uint8 [S, S, 3]: the product over its background."""
    share = alpha[..., None]
    return np.uint8(np.rint(np.clip(product * share + ground * (1 - share), 0, 255)))


def overlap(a, b):
    """Intersection over union of two alphas in [0, 1] or [0, 255], thresholded at the middle."""
    a, b = (x > (127 if x.dtype == np.uint8 else 0.5) for x in (a, b))
    return (a & b).sum() / (a | b).sum()
