"""Doubling and halving through the low-pass filter [1, 3, 3, 1], after StyleGAN2's upfirdn2d.

(Karras et al. 2020, appendix B.) The filter is separable and of four taps, so weighted sums of
shifted images beat any convolution. Borders are zeros. The two operations are each other's
transpose up to a factor: each one's gradient is stated as the other, to every order.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from prodgen.core.types import Array


@jax.custom_vjp
def up(x: Array) -> Array:
    """[B, H, W, C] -> [B, 2H, 2W, C]: zeros inserted, filtered with gain 4 (padding 2 and 1).

    Along an axis pixel 2i is (x[i-1] + 3 x[i]) / 4 and pixel 2i+1 is (3 x[i] + x[i+1]) / 4.
    """
    b, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = (x[:, :-2] + 3 * x[:, 1:-1], 3 * x[:, 1:-1] + x[:, 2:])
    # Both axes before any interleaving: one pass over the large image instead of two.
    phases = [(v[:, :, :-2] + 3 * v[:, :, 1:-1], 3 * v[:, :, 1:-1] + v[:, :, 2:]) for v in rows]
    out = jnp.stack([jnp.stack(columns, axis=3) for columns in phases], axis=2) / 16
    return out.reshape(b, 2 * h, 2 * w, c)


@jax.custom_vjp
def down(x: Array) -> Array:
    """[B, H, W, C], even sides -> [B, H/2, W/2, C]: filtered, every second pixel (padding 1).

    Along an axis pixel i is (x[2i-1] + 3 x[2i] + 3 x[2i+1] + x[2i+2]) / 8.
    """
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = x[:, :-3:2] + 3 * (x[:, 1:-2:2] + x[:, 2:-1:2]) + x[:, 3::2]
    x = x[:, :, :-3:2] + 3 * (x[:, :, 1:-2:2] + x[:, :, 2:-1:2]) + x[:, :, 3::2]
    return x / 64


up.defvjp(lambda x: (up(x), None), lambda _, gradient: (4 * down(gradient),))
down.defvjp(lambda x: (down(x), None), lambda _, gradient: (up(gradient) / 4,))
