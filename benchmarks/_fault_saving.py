"""How long an asynchronous save of 200 MB blocks the training loop, in one process and in two.

python -m benchmarks._fault_saving LEAVES FOLDER [HOST:PORT PROCESS] measures one process.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from prodgen.parallel import device_mesh
from prodgen.runs.checkpoint import CheckpointManager

STATE_BYTES = 200 * 2**20
LEAF_COUNTS = (8, 300)
PROCESS_COUNTS = (1, 2)
NUM_SAVES = 21  # the first compiles the copy, and is left out
MAX_BLOCK_MS = 150
ROOT = Path(__file__).parents[1]


def measure_saves() -> list[dict]:
    """One row for each number of processes and leaves, measured in processes of their own."""
    return [
        measure_case(num_processes, num_leaves)
        for num_processes in PROCESS_COUNTS
        for num_leaves in LEAF_COUNTS
    ]


def measure_case(num_processes: int, num_leaves: int) -> dict:
    """The row of a state of 200 MB in so many float32 leaves, which all processes have."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks._fault_saving", str(num_leaves), folder]
        processes = [
            subprocess.Popen(
                command + ([address, str(index)] if num_processes > 1 else []),
                cwd=ROOT, stdout=subprocess.PIPE, text=True,
                env=os.environ | {"JAX_PLATFORMS": "cpu"},
            )
            for index in range(num_processes)
        ]  # fmt: skip
        output = [process.communicate()[0] for process in processes][0]
    times = json.loads(output.splitlines()[-1])
    median = {name: statistics.median(values) for name, values in times.items()}
    text = f"a save of 200 MB in {num_leaves} leaves, {num_processes} processes"
    print(
        f"save       {text}: blocks {median['block_ms']:.0f} ms (median; most "
        f"{max(times['block_ms']):.0f}), the call alone {median['call_ms']:.0f} ms, of which "
        f"{median['cpu_ms']:.0f} ms on a processor; a step takes {median['step_ms']:.0f} ms; on "
        f"disk after {median['write_s']:.2f} s",
        flush=True,
    )
    is_quick = median["block_ms"] <= MAX_BLOCK_MS
    return {"section": "save", "case": text, "tries": 1, "survived": int(is_quick), **times}


def measure_process(num_leaves: int, folder: Path) -> dict[str, list[float]]:
    """Times of NUM_SAVES saves: of the call, its processor time, of the loop's delay, of a step,
    until it is on disk. Where other programs use the processors, that of the call says more.

    The step after the save donates the state, so it waits for the copy. The delay is that of the
    call and of this step, less the time of a step without a save.
    """
    device_mesh.keep_freed_memory()
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    shape = (STATE_BYTES // 4 // num_leaves,)
    make_leaf = jax.jit(
        lambda: jnp.ones(shape, jnp.float32), out_shardings=device_mesh.replicated_sharding(mesh)
    )
    state = {f"leaf{k}": make_leaf() for k in range(num_leaves)}
    step = jax.jit(lambda tree: jax.tree.map(lambda x: x * 1.0001, tree), donate_argnums=0)
    manager = CheckpointManager(folder, 2, 1)
    names = ("call_ms", "cpu_ms", "block_ms", "step_ms", "write_s")
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1, NUM_SAVES + 1):
        state = jax.block_until_ready(step(state))
        start = time.perf_counter()
        state = jax.block_until_ready(step(state))
        plain_s = time.perf_counter() - start
        start, cpu_start = time.perf_counter(), time.process_time()
        manager.save(number, state, None)
        call_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
        state = jax.block_until_ready(step(state))
        block_s = time.perf_counter() - start - plain_s
        manager.wait()
        times["call_ms"].append(call_s * 1e3)
        times["cpu_ms"].append(cpu_s * 1e3)
        times["block_ms"].append(block_s * 1e3)
        times["step_ms"].append(plain_s * 1e3)
        times["write_s"].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in times.items()}


if __name__ == "__main__":
    if len(sys.argv) > 3:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(sys.argv[3], 2, int(sys.argv[4]))
    print(json.dumps(measure_process(int(sys.argv[1]), Path(sys.argv[2]))), flush=True)
