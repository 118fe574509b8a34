"""One number that all processes agree on at a step: whether one of them has been asked to stop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from prodgen.parallel.device_mesh import batch_sharding, replicated_sharding


class SharedStop:
    """The largest number that any process has given, one call late, as the metrics are read.

    Every process calls it after every step, so that all see the same number at the same step.
    """

    def __init__(self, mesh: Mesh):
        self._mesh = mesh
        self._pending: jax.Array | None = None
        self._compute_max = jax.jit(jnp.max, out_shardings=replicated_sharding(mesh))

    def __call__(self, value: int) -> int:
        """The maximum over the processes of the values of the call before; 0 at the first call."""
        previous = self._pending
        sharding = batch_sharding(self._mesh)
        values = np.full(self._mesh.size, value, np.int32)
        # Each process fills the entries of its own devices.
        flags = jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])
        self._pending = self._compute_max(flags)
        return 0 if previous is None else int(previous)
