"""Whether one of several processes is to stop: all of them learn it at the same step."""

from __future__ import annotations

import signal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from prodgen.parallel.device_mesh import batch_sharding, replicated_sharding

NUM_SIGNALS = 128


class SharedStop:
    """The request of any process, one call late, as the metrics are read.

    Every process calls it after every step, so that all have the same answer at the same step.
    """

    def __init__(self, mesh: Mesh):
        self._mesh = mesh
        self._pending: jax.Array | None = None
        self._compute_max = jax.jit(jnp.max, out_shardings=replicated_sharding(mesh))

    def __call__(self, name: str | None) -> str | None:
        """name: of the signal that this process has received.

        Returns the signal that a process had received at the call before, such as "SIGTERM to
        process 1"; None where there was none.
        """
        # Process and signal in one number, 0 for no signal; each process fills its own entries.
        number = jax.process_index() * NUM_SIGNALS + signal.Signals[name].value if name else 0
        values = np.full(self._mesh.size, number, np.int32)
        sharding, previous = batch_sharding(self._mesh), self._pending
        numbers = jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])
        self._pending = self._compute_max(numbers)
        if previous is None or not int(previous):
            return None
        index, number = divmod(int(previous), NUM_SIGNALS)
        return f"{signal.Signals(number).name} to process {index}"
