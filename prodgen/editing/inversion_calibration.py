"""How well a run gives back its own held-out images, and which products are out of distribution.

A product is out of distribution where the run gives it back worse than nearly all of its own
held-out images. The p-value is the rank of its perceptual distance among theirs (a conformal
p-value, Vovk et al. 2005), so a held-out product is called out of distribution with a chance of 1
in 20. In a small data set, training images fill up the held-out ones.

A run that gives all its own images back badly would call every product its own. The reconstruction
is therefore also compared with the photo by absolute limits: MIN_PSNR_DB, MIN_EXPLAINED_EDGES and
MAX_COLOUR_DELTA_E.

The limit of the edges was chosen on the default catalogue vaegan at 64 pixels. All 16 held-out
images had 29 to 48 % of their edges, and all but one were recognisable. Of 32 photos of clothes 20
had less than 25 %, and one of these, trousers, was recognisable; five had 20 to 25 %. Of the twelve
others three were smears. A limit of 32 % would reject two of these three, and two of the 16 images.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from prodgen.core.cache import cached_tree, has_tree
from prodgen.data.store import Store
from prodgen.editing.inversion import InversionResult, Inverter
from prodgen.editing.variations import mean_lab_colour
from prodgen.metrics import reconstruction_quality
from prodgen.photo import colorimetry, silhouette

FILE_NAME = "reach.msgpack"
MEASUREMENT_VERSION = 2  # of how images are inverted: with another one, all is measured again
NUM_INVERSIONS = 64  # held-out images that are inverted
NUM_GALLERY_IMAGES = 512  # held-out images that a product is told from
SIGNIFICANCE_LEVEL = 0.05
MIN_PSNR_DB = 17.0  # of a reconstruction that still shows the photo's product
MIN_EXPLAINED_EDGES = 0.25  # the same, metrics/reconstruction_quality.py
MAX_COLOUR_DELTA_E = 12.0  # CIEDE2000 of the products' mean colours, of the same


@dataclasses.dataclass(frozen=True)
class InversionCalibration:
    """Of a run: perceptual_distance float [64] of inverted held-out images, in rising order;
    gallery float [G, F], the reference classifier's features of held-out images."""

    perceptual_distance: np.ndarray
    gallery: np.ndarray


def load_or_measure(inverter: Inverter) -> InversionCalibration:
    """The calibration of a run, measured once for each checkpoint and kept in its folder."""
    model = inverter.model

    def measure() -> dict[str, np.ndarray]:
        store = model.store()
        images, gallery = (
            store.fetch(held_out_ids(store, n))["image"]
            for n in (NUM_INVERSIONS, NUM_GALLERY_IMAGES)
        )
        distance = np.sort(inverter(images).perceptual_distance)
        return {"apart": distance, "gallery": inverter.extract_features(gallery)}

    arrays = cached_tree(*_file_and_key(inverter), measure, model.run.is_pretrained)
    return InversionCalibration(arrays["apart"], arrays["gallery"])


def is_measured(inverter: Inverter) -> bool:
    """Whether `load_or_measure` only loads: it then does not need the run's own images."""
    return has_tree(*_file_and_key(inverter))


def find_calibration(inverter: Inverter) -> InversionCalibration | None:
    """The calibration of a run where it is measured already; None where it is not."""
    return load_or_measure(inverter) if is_measured(inverter) else None


def _file_and_key(inverter: Inverter) -> tuple[Path, str]:
    """The file in the run's folder, and what the calibration in it must be of."""
    run = inverter.model.run
    key = f"{MEASUREMENT_VERSION} {run.record['fingerprint']} {run.step} {inverter.steps}"
    return run.path / FILE_NAME, key


def held_out_ids(store: Store, n: int) -> np.ndarray:
    """At most n ids of the run's own images: held-out ones first, then training images."""
    ids = [store.evenly_spaced_ids(split, n) for split in ("validation", "test", "train")]
    return np.concatenate(ids)[:n]


def conformal_p_values(
    perceptual_distance: np.ndarray, calibration: InversionCalibration
) -> np.ndarray:
    """[N]: the share of the run's own held-out images that are given back no better."""
    reference = calibration.perceptual_distance
    num_worse = len(reference) - np.searchsorted(reference, perceptual_distance, side="left")
    return (1 + num_worse) / (1 + len(reference))


def identity_similarity(
    a: np.ndarray, b: np.ndarray, calibration: InversionCalibration
) -> np.ndarray:
    """Cosine [N] of classifier features [N, F], centred on the gallery's mean."""
    mean = calibration.gallery.mean(axis=0)
    return cosine_similarity(a - mean, b - mean)


def cosine_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosine [N] of the angles between rows [N, F]; 0 where one of them is 0."""
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.sum(a * b, axis=-1) / np.maximum(norms, 1e-12)


def count_nearer_products(
    reconstruction: np.ndarray, source: np.ndarray, calibration: InversionCalibration
) -> np.ndarray:
    """int [N]: how many products of the gallery are nearer to a decoded image than its source.

    0 where it is still that product, as far as the features tell. Features [N, F].
    """
    source_distance = np.linalg.norm(reconstruction - source, axis=-1)
    gallery_distance = np.linalg.norm(reconstruction[:, None] - calibration.gallery[None], axis=-1)
    return np.sum(gallery_distance < source_distance[:, None] - 1e-6, axis=-1)


def resembles_photo(psnr: float, edges: float, colour: float) -> bool:
    """Whether a reconstruction still shows the photo's product: its PSNR in dB, the share of its
    edges, and the CIEDE2000 of the mean colours."""
    is_alike = psnr >= MIN_PSNR_DB and edges >= MIN_EXPLAINED_EDGES
    return bool(is_alike and colour <= MAX_COLOUR_DELTA_E)


def describe_misfits(
    inversion: InversionResult, calibration: InversionCalibration | None = None
) -> list[str]:
    """Why the run does not give a photo back; "" where it does. [N]

    By the absolute limits, and by the p-value where there is a calibration.
    """
    p_values = np.ones(len(inversion.images))
    if calibration is not None:
        p_values = conformal_p_values(inversion.perceptual_distance, calibration)
    edges = reconstruction_quality.explained_edges(inversion.images, inversion.reconstruction)
    colours = colour_changes(inversion.images, inversion.reconstruction)
    misfits = []
    for p, *values in zip(p_values, inversion.psnr, edges, colours, strict=True):
        measures = "PSNR {:.1f} dB, {:.0%} of its edges, CIEDE2000 {:.0f}".format(*values)
        words = ""
        if not resembles_photo(*values):
            words = f"the run does not give this photo back ({measures})"
        elif p <= SIGNIFICANCE_LEVEL:
            words = f"the run gives its own held-out images back better than this photo (p {p:.2f})"
        misfits.append(words)
    return misfits


def colour_changes(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """CIEDE2000 [N] of the mean colours of the products in images uint8 [N, R, R, C], by pairs."""
    labs = [
        np.stack([mean_lab_colour(x, silhouette.find_silhouette(x).mask) for x in side])
        for side in (images, others)
    ]
    return colorimetry.ciede2000(*labs)


def measure_inversions(
    inverter: Inverter, inversion: InversionResult
) -> list[dict[str, float | int | bool]]:
    """For each inverted image: PSNR, perceptual distance, identity, the share of its edges, the
    p-value of being out of distribution, and whether the reconstruction resembles the photo.

    in_distribution: both, the run gives its own images back no better, and it gives this one back.
    """
    calibration = load_or_measure(inverter)
    source, reconstruction = (
        inverter.extract_features(x) for x in (inversion.images, inversion.reconstruction)
    )
    columns = zip(
        inversion.psnr,
        inversion.initial_psnr,
        inversion.perceptual_distance,
        identity_similarity(source, reconstruction, calibration),
        count_nearer_products(reconstruction, source, calibration),
        conformal_p_values(inversion.perceptual_distance, calibration),
        reconstruction_quality.explained_edges(inversion.images, inversion.reconstruction),
        colour_changes(inversion.images, inversion.reconstruction),
        strict=True,
    )
    return [
        {
            "psnr": round(float(psnr), 2),
            "initial_psnr": round(float(initial_psnr), 2),
            "perceptual": round(float(distance), 4),
            "identity": round(float(similarity), 3),
            "nearer_products": int(num_nearer),
            "p": round(float(p), 3),
            "edges": round(float(edges), 3),
            "ciede2000": round(float(colour), 2),
            "resembles_photo": resembles_photo(psnr, edges, colour),
            "in_distribution": bool(p > SIGNIFICANCE_LEVEL)
            and resembles_photo(psnr, edges, colour),
        }
        for psnr, initial_psnr, distance, similarity, num_nearer, p, edges, colour in columns
    ]
