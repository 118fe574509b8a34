"""How long an asynchronous save of 200 MB blocks the training loop."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from prodgen.parallel import device_mesh
from prodgen.runs.checkpoint import CheckpointManager

STATE_BYTES = 200 * 2**20
LEAF_COUNTS = (8, 300)
NUM_SAVES = 7  # the first compiles the copy, and is left out
MAX_BLOCK_MS = 150


def measure_saves() -> list[dict]:
    """One row for each number of leaves; a save blocks for its own time and the next step's delay.

    The step in between donates the state, so it waits for the copy.
    """
    device_mesh.keep_freed_memory()
    return [measure_leaves(num_leaves) for num_leaves in LEAF_COUNTS]


def measure_leaves(num_leaves: int) -> dict:
    """The row of a state of 200 MB in so many float32 leaves."""
    shape = (STATE_BYTES // 4 // num_leaves,)
    state = {f"leaf{k}": jnp.ones(shape, jnp.float32) for k in range(num_leaves)}
    step = jax.jit(lambda tree: jax.tree.map(lambda x: x * 1.0001, tree), donate_argnums=0)
    block_ms, write_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        manager = CheckpointManager(Path(folder), 2, 1)
        for number in range(1, NUM_SAVES + 1):
            state = jax.block_until_ready(step(state))
            start = time.perf_counter()
            state = jax.block_until_ready(step(state))
            plain_s = time.perf_counter() - start
            start = time.perf_counter()
            manager.save(number, state, None)
            state = jax.block_until_ready(step(state))
            block_ms.append((time.perf_counter() - start - plain_s) * 1e3)
            manager.wait()
            write_s.append(time.perf_counter() - start)
    median_ms = statistics.median(block_ms[1:])
    text = f"a save of 200 MB in {num_leaves} leaves"
    print(
        f"save       {text}: blocks {median_ms:.0f} ms (median; first {block_ms[0]:.0f}, "
        f"most {max(block_ms[1:]):.0f}), on disk after {statistics.median(write_s):.2f} s",
        flush=True,
    )
    return {
        "section": "save", "case": text, "tries": 1, "survived": int(median_ms <= MAX_BLOCK_MS),
        "block_ms": block_ms, "write_s": write_s,
    }  # fmt: skip
