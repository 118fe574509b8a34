"""How the tests compile: quick code, kept from one run of the tests to the next.

Imports no JAX, which reads these settings when it is imported.
"""

import os
import shutil
import stat
from importlib.metadata import version
from pathlib import Path

# A third of the default's compile time; the computed function is the same. XLA ends the process
# for a flag that it does not know.
QUICK_XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if version("jaxlib").split(".")[:2] == ["0", "10"]:
    QUICK_XLA_FLAGS += " --xla_cpu_use_fusion_emitters=false"
EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"
MAX_CACHE_BYTES = 2**30


def cache_environment() -> dict[str, str]:
    """JAX's settings for a private compile cache that workers and the programs they start share.

    JAX keys it by the program, the flags and its own version, so a changed step is compiled anew.
    A process that is no xdist worker empties a cache above MAX_CACHE_BYTES.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "prodgen" / f"tests-xla-{version('jaxlib')}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SystemExit(f"{folder} holds code and is writable by others; next: chmod 700 {folder}")
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if not is_worker and sum(file.stat().st_size for file in folder.iterdir()) > MAX_CACHE_BYTES:
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    return {
        # XLA prints a page on standard error for each program that it loads from the cache.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
