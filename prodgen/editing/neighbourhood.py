"""Variations of a product: its neighbourhood in the latent, thinned to what differs.

With e standard normal, z' = sqrt(1 - s^2) z + s e has the prior's own spread at any strength s: 0
gives the product back, 1 is a fresh sample. What is not kept of the conditions is drawn anew with
probability s. Of the candidates those are taken that keep what was asked, as measured on the
picture, and that differ from every one taken before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from prodgen.config import registry
from prodgen.core import rng
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling
from prodgen.core.types import Batch, Spec
from prodgen.editing.inversion import Inverter
from prodgen.photo import colorimetry, silhouette

ROUNDS, CANDIDATES = 6, 64
LEAST = 0.25  # of the distance of two random variations: nearer ones count as the same
SHAPE = 0.8  # intersection over union of the silhouettes, at least
COLOUR = 12.0  # CIEDE2000 of the products' mean colours, at most
Refuse = Callable[[np.ndarray], np.ndarray]  # pictures uint8 [N, R, R, C] -> bool [N]
COLOURS = ("colour", "color", "hue", "palette")  # in the names of attributes


@dataclasses.dataclass(frozen=True)
class Varied:
    """N variations: pictures uint8 [N, R, R, C], z, conditions; `kept` bool [N]: holds what was
    asked to be kept; tried: candidates looked at; refused: how many of these were; nearest: the
    smallest distance of two, in units of the mean distance of two random candidates."""

    pictures: np.ndarray
    z: np.ndarray
    conditions: Batch
    kept: np.ndarray
    tried: int
    refused: int
    nearest: float


def near(z: np.ndarray, strength: float, seed: int, indices: np.ndarray) -> np.ndarray:
    """Latents float32 [N, Z] around z [Z]; row i a function of (seed, indices[i]) alone."""
    fresh = np.asarray(rng.normal(rng.key(seed, "vary"), indices, z.shape))
    return np.float32(np.sqrt(1 - strength**2) * z + strength * fresh)


def loosened(
    conditions: Batch, fresh: Batch, keep: Sequence[str], strength: float, seed: int, spec: Spec
) -> Batch:
    """Conditions of one row [1] for each of N fresh rows: kept, or with chance `strength` fresh."""
    n = len(fresh["label"])
    dice = np.random.default_rng([seed, 7]).random((n, 1 + len(spec.attributes)))
    found = {name: np.repeat(rows, n, axis=0) for name, rows in conditions.items()}
    if "category" not in keep:
        found["label"] = np.where(dice[:, 0] < strength, fresh["label"], found["label"])
    for i, attribute in enumerate(spec.attributes):
        place = spec.column_slices()[attribute.name]
        hue = any(word in attribute.name.lower() for word in COLOURS)
        change = (dice[:, i + 1] < strength) & (("colour" if hue else "shape") not in keep)
        for name in ("attributes", "known"):
            found[name][change, place] = fresh[name][change, place]
    return found


def vary(
    inverter: Inverter,
    z: np.ndarray,
    conditions: Batch,
    n: int,
    strength: float,
    keep: Sequence[str] = ("category",),
    seed: int = 0,
    refuse: Refuse | None = None,
) -> Varied:
    """n variations of a product at z [Z] with conditions of one row.

    Candidates come in rounds of 64 until n differ; what still lacks then is filled with the best
    of the rest, and `kept` and `nearest` say so. `refuse` says of pictures which must not leave:
    there are fewer than n where nothing else is left. UsageError for what nobody can keep.
    """
    keep = [find_spelling(name, registry.KEEP_CHOICES) for name in keep]
    for name in keep:
        if name not in registry.KEEP_CHOICES:
            raise UsageError(
                f"--keep={name!r} is not known; known: {', '.join(registry.KEEP_CHOICES)}"
            )
    label, middle = int(conditions["label"][0]), inverter.model.decode(z[None], conditions)[0]
    pool, least, chosen = {}, 0.0, np.arange(0)
    for turn in range(ROUNDS):
        more = _candidates(inverter, z, conditions, strength, keep, seed, turn)
        more["features"] = inverter.features(more["pictures"])
        more["good"] = _holds(inverter, middle, more["pictures"], keep, label)
        more["left"] = np.ones(CANDIDATES, bool)  # not refused
        pool = {
            name: np.concatenate([pool.get(name, rows[:0]), rows]) for name, rows in more.items()
        }
        least = least or LEAST * _mean_distance(more["features"])
        chosen = _settled(
            pool,
            lambda p, least=least: apart(p["features"], p["good"] & p["left"], n, least),
            refuse,
        )
        if len(chosen) == n:
            break
    chosen = _settled(
        pool, lambda p: filled(chosen[p["left"][chosen]], p["good"], n, p["left"]), refuse
    )
    taken = {name: rows[chosen] for name, rows in pool.items()}
    asked = {name: taken[name] for name in ("label", "attributes", "known")}
    nearest = _least(taken["features"]) / max(least / LEAST, 1e-12)
    tried, refused = len(pool["z"]), int(np.sum(~pool["left"]))
    return Varied(taken["pictures"], taken["z"], asked, taken["good"], tried, refused, nearest)


def _settled(
    pool: dict[str, np.ndarray], pick: Callable[[dict], np.ndarray], refuse: Refuse | None
) -> np.ndarray:
    """The rows that are picked of a pool, once none of them is refused; those that are leave it."""
    asked: set[int] = set()
    while True:
        chosen = pick(pool)
        fresh = np.array([row for row in chosen if int(row) not in asked], int)
        if refuse is None or not len(fresh):
            return chosen
        asked |= set(fresh.tolist())
        pool["left"][fresh[refuse(pool["pictures"][fresh])]] = False


def _candidates(
    inverter: Inverter, z: np.ndarray, conditions: Batch, strength: float, keep: Sequence[str],
    seed: int, turn: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """One round: pictures, z and conditions of 64 candidates."""
    model, label = inverter.model, int(conditions["label"][0])
    indices = np.arange(CANDIDATES) + CANDIDATES * turn
    named = "category" in keep and label >= 0 and bool(model.conditions.spec.classes)
    fresh = model.conditions.pick(seed, indices, model.spec.classes[label] if named else "")
    asked = loosened(conditions, fresh, keep, strength, seed + turn, model.spec)
    latents = near(z, strength, seed, indices)
    return {"pictures": model.decode(latents, asked), "z": latents, **asked}


def apart(features: np.ndarray, good: np.ndarray, n: int, least: float) -> np.ndarray:
    """At most n rows of features [M, F] that are good [M] and `least` from each other, greedily."""
    taken: list[int] = []
    for row in np.flatnonzero(good):
        if len(taken) == n:
            break
        gaps = np.linalg.norm(features[taken] - features[row], axis=-1)
        if gaps.min(initial=np.inf) >= least:
            taken.append(int(row))
    return np.array(taken, int)


def filled(chosen: np.ndarray, good: np.ndarray, n: int, left: np.ndarray) -> np.ndarray:
    """The chosen rows and, up to n, others of those `left` [M]: good ones first."""
    rest = np.setdiff1d(np.flatnonzero(left), chosen)
    rest = rest[np.argsort(~good[rest], kind="stable")]
    return np.concatenate([chosen, rest[: n - len(chosen)]]).astype(int)


def _holds(
    inverter: Inverter, middle: np.ndarray, pictures: np.ndarray, keep: Sequence[str], label: int
) -> np.ndarray:
    """bool [N]: pictures on which what is kept can be seen to be kept."""
    good = np.ones(len(pictures), bool)
    if "category" in keep and label >= 0:
        said = inverter.read(pictures)["label"]
        good &= (said == label) | (said < 0)
    if not {"shape", "colour"} & set(keep):
        return good
    own, others = (
        silhouette.find_silhouette(middle).mask,
        [silhouette.find_silhouette(x).mask for x in pictures],
    )
    if "shape" in keep:
        good &= np.array([overlap(own, mask) >= SHAPE for mask in others])
    if "colour" in keep:
        tone = mean_lab(middle, own)
        tones = np.stack([mean_lab(x, mask) for x, mask in zip(pictures, others, strict=True)])
        good &= colorimetry.ciede2000(tone, tones) <= COLOUR
    return good


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks bool [H, W]; 1 where both are empty."""
    union = np.sum(a | b)
    return float(np.sum(a & b) / union) if union else 1.0


def mean_lab(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean CIELAB colour [3] of a picture uint8 [H, W, C] inside a mask, of all where empty."""
    pixels = picture[mask] if mask.any() else picture.reshape(-1, picture.shape[-1])
    rgb = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    return colorimetry.srgb_to_lab(rgb).mean(axis=0)


def _mean_distance(features: np.ndarray) -> float:
    gaps = np.linalg.norm(features[:, None] - features[None], axis=-1)
    return float(gaps.sum() / max(len(features) * (len(features) - 1), 1))


def _least(features: np.ndarray) -> float:
    gaps = np.linalg.norm(features[:, None] - features[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    return float(gaps.min()) if len(features) > 1 else 0.0
