"""Moves of a picture that is 0 outside: shift, scale and mirror along the axes, and small turns.

Pictures are float [B, H, W, C] and every move is linear in them, so gradients of any order pass
through in reverse mode; the parameters get none. Nothing here gathers or scatters, and nothing is
a convolution: both are slow on a CPU, most of all their gradients. Each picture has parameters of
its own, arrays [B]; one at rest (scale 1, shift 0, angle 0) comes back exactly as it was.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from prodgen.core.types import Array


def interpolation(size: int, scale: Array, shift: Array) -> Array:
    """The matrices [B, size, size] that carry one axis: scaled about its centre, then shifted.

    `scale` [B] is not 0, and a negative one mirrors; `shift` [B] is in pixels. Output pixel i
    lies at (i - shift - centre) / scale + centre of the input, between two pixels that share it
    linearly. Whole shifts and mirrors only move pixels and keep their values.
    """
    centre = (size - 1) / 2
    place = jnp.arange(size, dtype=scale.dtype)
    source = (place - shift[:, None] - centre) / scale[:, None] + centre
    return _share(source[:, :, None] - place)


def move(image: Array, rows: Array, columns: Array) -> Array:
    """Apply the matrices of `interpolation` to both axes: rows [B, H, H], columns [B, W, W]."""
    rows, columns = rows.astype(image.dtype), columns.astype(image.dtype)
    # At the precision that accelerators choose by default even a picture at rest would change.
    exact = lax.Precision.HIGHEST
    image = jnp.einsum("bih,bhwc->biwc", rows, image, precision=exact)
    return jnp.einsum("bjw,biwc->bijc", columns, image, precision=exact)


def rotate(image: Array, angle: Array, largest: float) -> Array:
    """Turn each picture about its centre, counterclockwise by `angle` [B] in radians.

    Three shears in a row are a rotation (Paeth 1986): x by -tan(angle/2), y by sin(angle), x
    again. No |angle| may exceed `largest`, which sets how many taps the shears have: up
    to about 15 degrees they are cheap. Between the shears the picture is wider than its frame, so
    nothing is lost that the last shear brings back.
    """
    height, width = image.shape[1:3]
    angle = angle[:, None]
    down = jnp.arange(height, dtype=angle.dtype) - (height - 1) / 2
    margin = math.ceil(math.tan(largest / 2) * (height - 1) / 2)
    right = jnp.arange(-margin, width + margin, dtype=angle.dtype) - (width - 1) / 2
    reach = math.ceil(math.sin(largest) * ((width - 1) / 2 + margin))
    along, across = -jnp.tan(angle / 2) * down, jnp.sin(angle) * right
    image = jnp.pad(image, ((0, 0), (0, 0), (2 * margin, 2 * margin), (0, 0)))
    image = _shear(image, along[:, :, None, None], margin, axis=2)
    image = jnp.pad(image, ((0, 0), (reach, reach), (0, 0), (0, 0)))
    image = _shear(image, across[:, None, :, None], reach, axis=1)
    return _shear(image, along[:, :, None, None], margin, axis=2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shear(image: Array, shift: Array, reach: int, axis: int) -> Array:
    """Read the picture `shift` pixels further along `axis`, each line by a shift of its own.

    `shift` broadcasts against the picture and lies within +-reach; the result is `reach` pixels
    shorter at both ends, since what lies beyond them is not there to be read.

    The taps run in a loop: unrolled into one expression, XLA's CPU backend takes ten times as
    long over them. The adjoint is the shear by -shift of the gradient in a frame of zeros, a loop
    just as short, where that of the slices would build a full picture for each tap.
    """
    length = image.shape[axis] - 2 * reach

    def tap(k: Array | int) -> Array:
        part = lax.dynamic_slice_in_dim(image, k, length, axis)
        return _share(shift - (k - reach)).astype(image.dtype) * part

    return lax.fori_loop(1, 2 * reach + 1, lambda k, total: total + tap(k), tap(0))


def _shear_forward(image: Array, shift: Array, reach: int, axis: int) -> tuple[Array, Array]:
    return _shear(image, shift, reach, axis), shift


def _shear_backward(reach: int, axis: int, shift: Array, gradient: Array) -> tuple[Array, None]:
    frame = [(2 * reach, 2 * reach) if k == axis else (0, 0) for k in range(gradient.ndim)]
    return _shear(jnp.pad(gradient, frame), -shift, reach, axis), None


_shear.defvjp(_shear_forward, _shear_backward)


def _share(distance: Array) -> Array:
    """How much of a pixel at this distance, in pixels, linear interpolation takes: 1 at 0."""
    return jnp.maximum(0.0, 1.0 - jnp.abs(distance))
