"""Variations of a product: latents near its own, filtered and thinned to what differs.

With e standard normal, z' = sqrt(1 - s^2) z + s e has the prior's own spread at any strength s: 0
gives the product back, 1 is a fresh sample. Under a fitted prior, this is done within components
(editing/fitted_prior.py). Conditions that need not be kept are resampled with
probability s. Candidates are accepted that keep what they must, as measured on the image, and that
differ from every one accepted before.
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
from prodgen.editing.fitted_prior import FittedPrior
from prodgen.editing.inversion import CONDITION_KEYS, Inverter
from prodgen.photo import colorimetry, silhouette

MAX_ROUNDS, CANDIDATES_PER_ROUND = 6, 64
MIN_DISTANCE_RATIO = 0.25  # of the mean distance of two candidates: nearer ones count as the same
MIN_SILHOUETTE_IOU = 0.8  # intersection over union
MAX_COLOUR_DELTA_E = 12.0  # CIEDE2000 of the products' mean colours
COLOUR_WORDS = ("colour", "color", "hue", "palette")  # in the names of attributes
RefusalFn = Callable[[np.ndarray], np.ndarray]  # images uint8 [N, R, R, C] -> bool [N]


@dataclasses.dataclass(frozen=True)
class VariationResult:
    """N variations: images uint8 [N, R, R, C], z, conditions.

    keeps_request bool [N]: whether it keeps what it must; num_candidates in all; num_refused of
    them; min_distance: the smallest feature distance of two variations, in units of the mean
    distance of two candidates.
    """

    images: np.ndarray
    z: np.ndarray
    conditions: Batch
    keeps_request: np.ndarray
    num_candidates: int
    num_refused: int
    min_distance: float


def perturb_latent(
    z: np.ndarray,
    strength: float,
    seed: int,
    indices: np.ndarray,
    prior: FittedPrior | None = None,
    label: int = -1,
    new_label: np.ndarray | None = None,
) -> np.ndarray:
    """Latents float32 [N, Z] around z [Z]; row i is a function of (seed, indices[i]) alone.

    label: of the product, and new_label [N]: of its variations, which a fitted prior depends on.
    """
    noise = np.asarray(rng.normal(rng.key(seed, "vary"), indices, z.shape))
    if prior is not None:
        new_label = np.full(len(indices), label) if new_label is None else new_label
        uniforms = np.asarray(rng.uniform(rng.key(seed, "component", 1), indices, (3,)))
        return prior.perturb(z, noise, uniforms, strength, label, new_label)
    return np.float32(np.sqrt(1 - strength**2) * z + strength * noise)


def resample_conditions(
    conditions: Batch,
    random_conditions: Batch,
    keep: Sequence[str],
    strength: float,
    seed: int,
    spec: Spec,
) -> Batch:
    """Conditions [N]: each either that of one row [1], or with chance `strength` the fresh one."""
    n = len(random_conditions["label"])
    uniforms = np.random.default_rng([seed, 7]).random((n, 1 + len(spec.attributes)))
    new_conditions = {name: np.repeat(rows, n, axis=0) for name, rows in conditions.items()}
    if "category" not in keep:
        is_fresh = uniforms[:, 0] < strength
        new_conditions["label"] = np.where(
            is_fresh, random_conditions["label"], new_conditions["label"]
        )
    for i, attribute in enumerate(spec.attributes):
        columns = spec.column_slices()[attribute.name]
        is_colour = any(word in attribute.name.lower() for word in COLOUR_WORDS)
        is_free = ("colour" if is_colour else "shape") not in keep
        is_fresh = (uniforms[:, i + 1] < strength) & is_free
        for name in ("attributes", "known"):
            new_conditions[name][is_fresh, columns] = random_conditions[name][is_fresh, columns]
    return new_conditions


def vary(
    inverter: Inverter,
    photo: np.ndarray,
    z: np.ndarray,
    conditions: Batch,
    n: int,
    strength: float,
    keep: Sequence[str] = ("category",),
    seed: int = 0,
    refuse: RefusalFn | None = None,
) -> VariationResult:
    """n variations of a product at z [Z] with conditions of one row, of a photo uint8 [R, R, C].

    What they keep is measured against the photo: of a run that gives it back badly, none keeps it.

    Candidates come in rounds of 64 until n of them differ. If too few do, the best of the rest fill
    up, and `keeps_request` and `min_distance` say so. `refuse` marks images that must not be used:
    there are fewer than n where nothing else is left. UsageError for an unknown `keep`.
    """
    keep = [find_spelling(name, registry.KEEP_CHOICES) for name in keep]
    for name in keep:
        if name not in registry.KEEP_CHOICES:
            raise UsageError(
                f"keep={name!r} is not known; known: {', '.join(registry.KEEP_CHOICES)}",
                "choose one of the known names",
            )
    pool, min_distance, picks = {}, 0.0, np.arange(0)
    for turn in range(MAX_ROUNDS):
        candidates = _draw_candidates(inverter, photo, z, conditions, strength, keep, seed, turn)
        pool = {
            name: np.concatenate([pool.get(name, rows[:0]), rows])
            for name, rows in candidates.items()
        }
        if not min_distance:  # the first round gives the scale of the features
            distances = _pairwise_distances(candidates["features"])
            count = len(distances)
            min_distance = MIN_DISTANCE_RATIO * float(distances.sum() / (count * (count - 1)))
        picks = _pick_allowed(
            pool,
            lambda p, min_distance=min_distance: pick_distinct(
                p["features"], p["keeps_request"] & p["is_allowed"], n, min_distance
            ),
            refuse,
        )
        if len(picks) == n:
            break
    # Where fewer than n differ, candidates that are alike or keep less fill up.
    picks = _pick_allowed(
        pool,
        lambda p: fill_up(picks[p["is_allowed"][picks]], p["keeps_request"], n, p["is_allowed"]),
        refuse,
    )
    rows = {name: values[picks] for name, values in pool.items()}
    distances = _pairwise_distances(rows["features"])
    np.fill_diagonal(distances, np.inf)
    smallest = float(distances.min()) if len(picks) > 1 else 0.0
    return VariationResult(
        rows["image"],
        rows["z"],
        {name: rows[name] for name in CONDITION_KEYS},
        rows["keeps_request"],
        num_candidates=len(pool["z"]),
        num_refused=int(np.sum(~pool["is_allowed"])),
        min_distance=smallest / max(min_distance / MIN_DISTANCE_RATIO, 1e-12),
    )


def _draw_candidates(
    inverter: Inverter, photo: np.ndarray, z: np.ndarray, conditions: Batch, strength: float,
    keep: Sequence[str], seed: int, turn: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """One round: image, z, conditions and features of 64 candidates; whether each keeps what it
    must; and is_allowed, true until the image is refused."""
    model, label = inverter.model, int(conditions["label"][0])
    indices = np.arange(CANDIDATES_PER_ROUND) + CANDIDATES_PER_ROUND * turn
    # A held-out photo may be of a category that has no training images.
    name = model.spec.classes[label] if "category" in keep and label >= 0 else ""
    name = name if name in model.conditions.trained_classes() else ""
    random_conditions = model.conditions.pick(seed, indices, name)
    new_conditions = resample_conditions(
        conditions, random_conditions, keep, strength, seed + turn, model.spec
    )
    new_label = new_conditions["label"]
    latents = perturb_latent(z, strength, seed, indices, model.prior, label, new_label)
    images = model.decode(latents, new_conditions)
    return {
        "image": images,
        "z": latents,
        **new_conditions,
        "features": inverter.extract_features(images),
        "keeps_request": _keeps_request(inverter, photo, images, keep, label),
        "is_allowed": np.ones(CANDIDATES_PER_ROUND, bool),
    }


def _keeps_request(
    inverter: Inverter, photo: np.ndarray, images: np.ndarray, keep: Sequence[str], label: int
) -> np.ndarray:
    """bool [N]: whether each image keeps the photo's category, shape and colour, where `keep`
    names them. A run that reads no categories cannot lose one."""
    keeps = np.ones(len(images), bool)
    if "category" in keep and inverter.reads_categories:
        # A category that is not recognised, of the photo or of an image, is not kept.
        keeps &= (inverter.read_conditions(images)["label"] == label) & (label >= 0)
    if not {"shape", "colour"} & set(keep):
        return keeps
    photo_mask = silhouette.find_silhouette(photo).mask
    masks = [silhouette.find_silhouette(image).mask for image in images]
    if "shape" in keep:
        keeps &= np.array([mask_iou(photo_mask, mask) >= MIN_SILHOUETTE_IOU for mask in masks])
    if "colour" in keep:
        photo_lab = mean_lab_colour(photo, photo_mask)
        labs = np.stack([mean_lab_colour(x, mask) for x, mask in zip(images, masks, strict=True)])
        keeps &= colorimetry.ciede2000(photo_lab, labs) <= MAX_COLOUR_DELTA_E
    return keeps


def _pick_allowed(
    pool: dict[str, np.ndarray], pick: Callable[[dict], np.ndarray], refuse: RefusalFn | None
) -> np.ndarray:
    """The rows that pick(pool) chooses, once none of them is refused.

    Only images that are picked are checked; a refused one is marked in pool["is_allowed"].
    """
    checked_rows: set[int] = set()
    while True:
        picks = pick(pool)
        new_picks = np.array([row for row in picks if int(row) not in checked_rows], int)
        if refuse is None or not len(new_picks):
            return picks
        checked_rows |= set(new_picks.tolist())
        pool["is_allowed"][new_picks[refuse(pool["image"][new_picks])]] = False


def pick_distinct(
    features: np.ndarray, is_usable: np.ndarray, n: int, min_distance: float
) -> np.ndarray:
    """At most n usable rows of features [M, F], greedily, at least min_distance from each other."""
    picks: list[int] = []
    for row in np.flatnonzero(is_usable):
        if len(picks) == n:
            break
        distances = np.linalg.norm(features[picks] - features[row], axis=-1)
        if distances.min(initial=np.inf) >= min_distance:
            picks.append(int(row))
    return np.array(picks, int)


def fill_up(
    picks: np.ndarray, keeps_request: np.ndarray, n: int, is_allowed: np.ndarray
) -> np.ndarray:
    """The chosen rows and, up to n, other allowed rows: those that keep the request first."""
    rest = np.setdiff1d(np.flatnonzero(is_allowed), picks)
    rest = rest[np.argsort(~keeps_request[rest], kind="stable")]
    return np.concatenate([picks, rest[: n - len(picks)]]).astype(int)


def mask_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks bool [H, W]; 1 where both are empty."""
    union = np.sum(a | b)
    return float(np.sum(a & b) / union) if union else 1.0


def mean_lab_colour(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean CIELAB colour [3] of an image uint8 [H, W, C] inside a mask, of all where empty."""
    pixels = image[mask] if mask.any() else image.reshape(-1, image.shape[-1])
    rgb = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    return colorimetry.srgb_to_lab(rgb).mean(axis=0)


def _pairwise_distances(features: np.ndarray) -> np.ndarray:
    return np.linalg.norm(features[:, None] - features[None], axis=-1)
