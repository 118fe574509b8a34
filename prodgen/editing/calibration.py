"""What a run can give back, and whose picture it is: an inversion set against held-back pictures.

A product is out of reach where the run gives it back worse than nearly all of its own held-back
pictures: the p-value is the rank of its perceptual distance among theirs (a conformal p-value, Vovk
et al. 2005), so a held-back product is called out of reach with a chance of 1 in 20. A small data
set is filled up with training pictures.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from prodgen.core.cache import cached_tree
from prodgen.data.store import Store
from prodgen.editing.inversion import Inverted, Inverter

FILE = "reach.msgpack"
VERSION = 2  # of how pictures are inverted: with another one, all is measured again
INVERTED, GALLERY = 64, 512  # held-back pictures that are inverted; that identities are told among
RARE = 0.05


@dataclasses.dataclass(frozen=True)
class Reach:
    """Of a run: `apart` float [64], the perceptual distances of inverted held-back pictures in
    rising order; gallery float [G, F], home features of held-back pictures."""

    apart: np.ndarray
    gallery: np.ndarray


def of_run(inverter: Inverter) -> Reach:
    """The reach of a run, measured once for each checkpoint and kept in its folder."""
    model = inverter.model
    key = f"{VERSION} {model.run.record['fingerprint']} {model.run.step} {inverter.steps}"
    path: Path = model.run.path / FILE
    arrays = cached_tree(path, key, lambda: dataclasses.asdict(_measured(inverter)))
    return Reach(arrays["apart"], arrays["gallery"])


def _measured(inverter: Inverter) -> Reach:
    store = inverter.model.store()
    tried, shown = (store.fetch(own(store, n))["image"] for n in (INVERTED, GALLERY))
    return Reach(np.sort(inverter(tried).apart), inverter.features(shown))


def own(store: Store, n: int) -> np.ndarray:
    """At most n ids of the run's own pictures: held-back ones, then those it was trained on."""
    held = [store.evenly_spaced_ids(split, n) for split in ("validation", "test", "train")]
    return np.concatenate(held)[:n]


def p_values(apart: np.ndarray, reach: Reach) -> np.ndarray:
    """[N]: the share of the run's own held-back pictures that come back no better."""
    worse = len(reach.apart) - np.searchsorted(reach.apart, apart, side="left")
    return (1 + worse) / (1 + len(reach.apart))


def similarity(one: np.ndarray, other: np.ndarray, reach: Reach) -> np.ndarray:
    """Cosine [N] of home features [N, F], centred on the gallery's: 1 the same, 0 unrelated."""
    middle = reach.gallery.mean(axis=0)
    return cosine(one - middle, other - middle)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosine [N] of the angles between rows [N, F]; 0 where one of them is 0."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.sum(a * b, axis=-1) / np.maximum(lengths, 1e-12)


def rank(made: np.ndarray, source: np.ndarray, reach: Reach) -> np.ndarray:
    """int [N]: how many products of the gallery are nearer to a made picture than its own source
    is; 0 where it is still that product, as far as the features tell. All [N, F]."""
    own = np.linalg.norm(made - source, axis=-1)
    others = np.linalg.norm(made[:, None] - reach.gallery[None], axis=-1)
    return np.sum(others < own[:, None] - 1e-6, axis=-1)


def told(inverter: Inverter, found: Inverted) -> list[dict[str, float | int | bool]]:
    """For each inverted picture: psnr, perceptual distance, identity, and whether it is within
    the run's reach."""
    reach = of_run(inverter)
    source, made = (inverter.features(x) for x in (found.pictures, found.decoded))
    values = zip(
        found.psnr, found.guessed, found.apart, similarity(made, source, reach),
        rank(made, source, reach), p_values(found.apart, reach), strict=True,
    )  # fmt: skip
    return [
        {
            "psnr": round(float(psnr), 2),
            "psnr_of_the_guess": round(float(guessed), 2),
            "perceptual": round(float(apart), 4),
            "identity": round(float(same), 3),
            "nearer_products": int(nearer),
            "p": round(float(p), 3),
            "within_reach": bool(p > RARE),
        }
        for psnr, guessed, apart, same, nearer, p in values
    ]
