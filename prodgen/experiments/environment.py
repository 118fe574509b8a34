"""What a run was trained with: the code's version, the hardware, and how exactly it repeats."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

ACCELERATOR_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/accel0")
GPU_FOLDER = Path("/proc/driver/nvidia/gpus")


def describe_code() -> dict[str, Any]:
    """{"commit", "is_dirty"} of the code in the current folder, None where git cannot tell."""

    def ask_git(*arguments: str) -> str | None:
        try:
            result = subprocess.run(
                ["git", *arguments], capture_output=True, text=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return result.stdout.strip()

    commit, changes = ask_git("rev-parse", "HEAD"), ask_git("status", "--porcelain", "-uno")
    return {"commit": commit, "is_dirty": None if changes is None else bool(changes)}


def describe_hardware(cores: Collection[int]) -> dict[str, Any]:
    """The processor, the number of cores of a run, and the names of NVIDIA's GPUs."""
    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        models = _read_values(Path("/proc/cpuinfo"), "model name")
        cpu = models[0] if models else cpu
    gpus = [
        name
        for file in sorted(GPU_FOLDER.glob("*/information"))
        for name in _read_values(file, "Model")
    ]
    return {"cpu": cpu, "cores": len(cores), "gpus": gpus, "system": platform.system()}


def _read_values(file: Path, name: str) -> list[str]:
    """The values of the lines "name : value" of a file of the system."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = [line.partition(":") for line in lines]
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def has_accelerator() -> bool:
    """Whether this machine has a GPU or a TPU."""
    return any(os.path.exists(file) for file in ACCELERATOR_FILES)


def describe_determinism(config: ConfigDict) -> str:
    """How exactly a run repeats on the same hardware."""
    if config.parallel.require_platform in ("", "cpu") and not has_accelerator():
        return "bitwise on the same processor and number of cores"
    if config.parallel.deterministic:
        return "bitwise on the same accelerator"
    return "not bitwise: config.parallel.deterministic is off"
