"""Geometric transforms: shift, scale and mirror along the axes, and rotation by small angles.

Images are float [B, H, W, C] and 0 outside their frame. Every transform is linear in them, so
gradients of any order pass through in reverse mode; the parameters get none. Nothing here gathers,
scatters or convolves: all three are slow on a CPU, most of all their gradients. Each image has
parameters of its own, arrays [B]. With neutral parameters (scale 1, shift 0, angle 0) an image
comes back exactly as it was.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from prodgen.core.types import Array


def interpolation_matrices(size: int, scale: Array, shift: Array) -> Array:
    """The matrices [B, size, size] that resample one axis: scaled about its centre, then shifted.

    `scale` [B] is not 0, and a negative one mirrors; `shift` [B] is in pixels. Output pixel i
    reads position (i - shift - centre) / scale + centre of the input, interpolated linearly between
    two pixels. Whole shifts and mirrors only move pixels and keep their values.
    """
    centre = (size - 1) / 2
    position = jnp.arange(size, dtype=scale.dtype)
    source = (position - shift[:, None] - centre) / scale[:, None] + centre
    return _linear_weight(source[:, :, None] - position)


def apply_matrices(image: Array, rows: Array, columns: Array) -> Array:
    """Resample both axes by `interpolation_matrices`: rows [B, H, H], columns [B, W, W]."""
    rows, columns = rows.astype(image.dtype), columns.astype(image.dtype)
    # At the default precision of accelerators even the neutral transform would change the image.
    exact = lax.Precision.HIGHEST
    image = jnp.einsum("bih,bhwc->biwc", rows, image, precision=exact)
    return jnp.einsum("bjw,biwc->bijc", columns, image, precision=exact)


def rotate(image: Array, angle: Array, max_angle: float) -> Array:
    """Rotate each image about its centre, counterclockwise by `angle` [B] in radians.

    Three shears in a row are a rotation (Paeth 1986): x by -tan(angle/2), y by sin(angle), x
    again. No |angle| may exceed `max_angle`, which sets how many taps the shears have: up to about
    15 degrees they are cheap. Between the shears the image is wider than its frame, so nothing is
    lost that the last shear brings back.
    """
    height, width = image.shape[1:3]
    angle = angle[:, None]
    # Coordinates from the centre; the margins hold what each shear pushes out of the frame.
    y = jnp.arange(height, dtype=angle.dtype) - (height - 1) / 2
    x_margin = math.ceil(math.tan(max_angle / 2) * (height - 1) / 2)
    x = jnp.arange(-x_margin, width + x_margin, dtype=angle.dtype) - (width - 1) / 2
    y_margin = math.ceil(math.sin(max_angle) * ((width - 1) / 2 + x_margin))
    x_shift, y_shift = -jnp.tan(angle / 2) * y, jnp.sin(angle) * x
    # Each shear removes its margin at both ends, and there are two shears along x.
    image = jnp.pad(image, ((0, 0), (0, 0), (2 * x_margin, 2 * x_margin), (0, 0)))
    image = _shear(image, x_shift[:, :, None, None], x_margin, axis=2)
    image = jnp.pad(image, ((0, 0), (y_margin, y_margin), (0, 0), (0, 0)))
    image = _shear(image, y_shift[:, None, :, None], y_margin, axis=1)
    return _shear(image, x_shift[:, :, None, None], x_margin, axis=2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _shear(image: Array, shift: Array, margin: int, axis: int) -> Array:
    """Read the image `shift` pixels further along `axis`, each line by a shift of its own.

    `shift` broadcasts against the image and lies within +-margin. The result is `margin` pixels
    shorter at both ends, since no pixels are there to be read beyond them.

    The taps run in a loop: unrolled into one expression, XLA's CPU backend takes ten times as
    long over them. The adjoint is the shear by -shift of the zero-padded gradient, a loop just as
    short. The adjoint of the slices would build a full image for each tap.
    """
    length = image.shape[axis] - 2 * margin

    def weighted_tap(k: Array | int) -> Array:
        window = lax.dynamic_slice_in_dim(image, k, length, axis)
        return _linear_weight(shift - (k - margin)).astype(image.dtype) * window

    return lax.fori_loop(
        1, 2 * margin + 1, lambda k, total: total + weighted_tap(k), weighted_tap(0)
    )


def _shear_forward(image: Array, shift: Array, margin: int, axis: int) -> tuple[Array, Array]:
    return _shear(image, shift, margin, axis), shift


def _shear_backward(margin: int, axis: int, shift: Array, grad: Array) -> tuple[Array, None]:
    padding = [(2 * margin, 2 * margin) if k == axis else (0, 0) for k in range(grad.ndim)]
    return _shear(jnp.pad(grad, padding), -shift, margin, axis), None


_shear.defvjp(_shear_forward, _shear_backward)


def _linear_weight(distance: Array) -> Array:
    """The weight of a pixel at this distance, in pixels, in linear interpolation: 1 at 0."""
    return jnp.maximum(0.0, 1.0 - jnp.abs(distance))
