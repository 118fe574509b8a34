"""Accelerators that a program can be compiled for without having one. Needs no JAX.

The numbers are public: data sheets of NVIDIA, Google's pages on Cloud TPU (cloud.google.com/tpu/
docs), and Jouppi et al. 2023 (arXiv 2304.01433) for the power of TPU v4.
"""

from __future__ import annotations

import dataclasses
import math
import re

from prodgen.core.errors import UsageError

MAX_GPUS = 4096
GPUS_PER_HOST = 8
CHIPS_PER_HOST = 4


@dataclasses.dataclass(frozen=True)
class GpuProperties:
    """What XLA asks of an NVIDIA GPU, in the terms of CUDA's device properties."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    fpus_per_multiprocessor: int
    threads_per_multiprocessor: int
    shared_memory_per_multiprocessor: int  # bytes
    shared_memory_per_block: int  # bytes, after a kernel has opted in
    l2_cache: int  # bytes
    clock_ghz: float
    cudnn: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Chip:
    """An accelerator, in FLOP/s, bytes, bytes/s and watts.

    bf16_flops: dense, without sparsity. f32_flops: of float32 arrays at JAX's default precision,
    which is TF32 on a GPU and one pass of bfloat16 on a TPU. link_bandwidth: what a device sends to
    its neighbours in one direction, over all its links. network_bandwidth: a device's share of its
    host's network; None where the links lead to the other hosts, too. usable_memory: the share
    that a program can take: on a GPU what JAX reserves, if XLA_PYTHON_CLIENT_MEM_FRACTION does not
    say otherwise. power_w: of the board, at most; None where it is not published.
    """

    platform: str
    bf16_flops: float
    f32_flops: float
    memory: int
    memory_bandwidth: float
    link_bandwidth: float
    network_bandwidth: float | None
    usable_memory: float
    power_w: float | None
    gpu: GpuProperties | None = None
    topology_prefix: str = ""
    chip_config: str = ""
    shapes: tuple[str, ...] = ()


TPU_MEMORY = 0.95  # the compiler keeps the rest
GPU_MEMORY = 0.75
SHAPES_2D = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
SHAPES_3D = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16",
             "8x16x16", "16x16x16")  # fmt: skip

CHIPS = {
    # H200 SXM data sheet: 1,979 TFLOPS bfloat16 and 989 TF32 with sparsity, twice the dense rate;
    # 141 GB at 4.8 TB/s; NVLink 900 GB/s in both directions; 700 W. DGX H200: 400 Gb/s a GPU.
    "h200": Chip(
        "gpu", 989e12, 494e12, 151_397_597_184, 4.8e12, 450e9, 50e9, GPU_MEMORY, 700,
        GpuProperties("NVIDIA H200", (9, 0), 132, 128, 2048, 233_472, 232_448, 50 * 2**20, 1.98,
                      (9, 10, 0)),
    ),
    # H100 SXM data sheet: as the H200, with 80 GB at 3.35 TB/s; 700 W. DGX H100: 400 Gb/s a GPU.
    "h100": Chip(
        "gpu", 989e12, 494e12, 84_942_979_072, 3.35e12, 450e9, 50e9, GPU_MEMORY, 700,
        GpuProperties("NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 2048, 233_472, 232_448,
                      50 * 2**20, 1.98, (9, 10, 0)),
    ),
    # A100 SXM 80 GB data sheet: 312 TFLOPS bfloat16, 156 TF32; 2,039 GB/s; NVLink 600 GB/s in both
    # directions; 400 W. DGX A100: 200 Gb/s a GPU.
    "a100": Chip(
        "gpu", 312e12, 156e12, 85_100_068_864, 2.039e12, 300e9, 25e9, GPU_MEMORY, 400,
        GpuProperties("NVIDIA A100-SXM4-80GB", (8, 0), 108, 64, 2048, 167_936, 166_912,
                      40 * 2**20, 1.41, (8, 9, 4)),
    ),
    # L4 data sheet: 242 TFLOPS bfloat16 and 120 TF32 with sparsity; 24 GB at 300 GB/s; PCIe 4.0 x16
    # with 64 GB/s in both directions; 72 W. Google Cloud g2-standard-96: 100 Gb/s for 8 of them.
    "l4": Chip(
        "gpu", 121e12, 60e12, 23_034 * 2**20, 300e9, 32e9, 100e9 / 8 / 8, GPU_MEMORY, 72,
        GpuProperties("NVIDIA L4", (8, 9), 58, 128, 1536, 102_400, 101_376, 48 * 2**20, 2.04,
                      (9, 10, 0)),
    ),
    # TPU v4: 275 TFLOPS; 32 GiB at 1,228 GB/s; 2,400 Gb/s between chips; at most 192 W.
    "v4": Chip(
        "tpu", 275e12, 275e12, 32 * 2**30, 1.228e12, 300e9, None, TPU_MEMORY, 192,
        topology_prefix="v4", chip_config="megacore", shapes=SHAPES_3D,
    ),
    # TPU v5e: 197 TFLOPS; 16 GB at 819 GB/s; 1,600 Gb/s between chips.
    "v5e": Chip(
        "tpu", 197e12, 197e12, 16 * 2**30, 819e9, 200e9, None, TPU_MEMORY, None,
        topology_prefix="v5e", shapes=SHAPES_2D,
    ),
    # TPU v5p: 459 TFLOPS; 95 GB at 2,765 GB/s; 4,800 Gb/s between chips.
    "v5p": Chip(
        "tpu", 459e12, 459e12, 95 * 2**30, 2.765e12, 600e9, None, TPU_MEMORY, None,
        topology_prefix="v5", shapes=SHAPES_3D,
    ),
    # TPU v6e: 918 TFLOPS; 32 GB at 1,640 GB/s; 3,200 Gb/s between chips.
    "v6e": Chip(
        "tpu", 918e12, 918e12, 32 * 2**30, 1.64e12, 400e9, None, TPU_MEMORY, None,
        topology_prefix="v6e", shapes=SHAPES_2D,
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Target:
    """Devices of one kind: `h200:16` are 16 GPUs, `v5e:4x8` are 32 chips of a TPU pod."""

    text: str
    chip: Chip
    sizes: tuple[int, ...]  # GPUs: hosts, devices a host; TPUs: chips along each axis

    @property
    def num_devices(self) -> int:
        return math.prod(self.sizes)

    @property
    def num_hosts(self) -> int:
        """GPUs: of eight devices; TPUs: virtual machines of four chips."""
        return self.sizes[0] if self.chip.gpu else math.ceil(self.num_devices / CHIPS_PER_HOST)

    @property
    def topology(self) -> str:
        """The name that the platform's plug-in gives to these devices."""
        if self.chip.gpu:
            return "x".join(map(str, (1, *self.sizes)))
        return f"{self.chip.topology_prefix}:{'x'.join(map(str, self.sizes))}"


def parse_targets(text: str) -> list[Target]:
    """ "h200,v5e:4x8" -> its targets; UsageError where one is unknown or named twice."""
    targets = [parse_target(part.strip()) for part in text.split(",")]
    names = [target.text for target in targets]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate:
        raise UsageError(f"--plan names {duplicate} twice", "name each target once")
    return targets


def parse_target(text: str, flag: str = "plan") -> Target:
    """One target: a chip, with a number of GPUs or the shape of a TPU slice after a colon.

    Without them it is one GPU, or the smallest slice. flag: where the user wrote it.
    """
    name, colon, size = text.partition(":")
    chip = CHIPS.get(name)
    if chip is None:
        raise UsageError(
            f"--{flag}={text} is not a known target",
            f"the names are {', '.join(CHIPS)}; choose one, such as h200:8 or v5e:4x8",
        )
    if chip.gpu:
        return Target(text, chip, _parse_gpu_count(text, size if colon else "1", flag))
    shape = size if colon else chip.shapes[0]
    num_axes = chip.shapes[0].count("x") + 1
    if not re.fullmatch("x".join([r"[1-9]\d{0,2}"] * num_axes), shape):
        raise make_shape_error(text, chip, flag)
    return Target(text, chip, tuple(int(part) for part in shape.split("x")))


def _parse_gpu_count(text: str, size: str, flag: str) -> tuple[int, int]:
    """ "16" -> (2 hosts, 8 GPUs a host)."""
    count = int(size) if re.fullmatch(r"[1-9]\d{0,5}", size) else 0
    if not 1 <= count <= MAX_GPUS or (count > GPUS_PER_HOST and count % GPUS_PER_HOST):
        raise UsageError(
            f"--{flag}={text} has no number of GPUs that hosts of {GPUS_PER_HOST} give",
            f"name 1 to {GPUS_PER_HOST} GPUs, or a multiple of {GPUS_PER_HOST} up to {MAX_GPUS}, "
            f"such as {text.partition(':')[0]}:{2 * GPUS_PER_HOST}",
        )
    return max(count // GPUS_PER_HOST, 1), min(count, GPUS_PER_HOST)


def make_shape_error(text: str, chip: Chip, flag: str = "plan") -> UsageError:
    """The error for a slice that does not exist."""
    name = text.partition(":")[0]
    return UsageError(
        f"--{flag}={text} is not a slice of this TPU",
        f"choose a shape, such as {name}:{chip.shapes[1]}: {', '.join(chip.shapes)}",
    )


def format_gpu_config(chip: Chip) -> str:
    """The text of XLA's GpuTargetConfigProto for a GPU."""
    gpu = chip.gpu
    device_info = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 49_152,
        "shared_memory_per_core": gpu.shared_memory_per_multiprocessor,
        "threads_per_core_limit": gpu.threads_per_multiprocessor,
        "core_count": gpu.multiprocessors,
        "fpus_per_core": gpu.fpus_per_multiprocessor,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 65_535,
        "block_dim_limit_z": 65_535,
        "memory_bandwidth": int(chip.memory_bandwidth),
        "l2_cache_size": gpu.l2_cache,
        "clock_rate_ghz": gpu.clock_ghz,
        "device_memory_size": chip.memory,
        "shared_memory_per_block_optin": gpu.shared_memory_per_block,
        "registers_per_core_limit": 65_536,
        "registers_per_block_limit": 65_536,
    }
    fields = " ".join(f"{name}: {value}" for name, value in device_info.items())
    capability = "major: {} minor: {}".format(*gpu.capability)
    cudnn = "major: {} minor: {} patch: {}".format(*gpu.cudnn)
    return (
        f"gpu_device_info {{ {fields} cuda_compute_capability {{ {capability} }} }} "
        f'platform_name: "CUDA" dnn_version_info {{ {cudnn} }} '
        f'device_description_str: "{gpu.name}"'
    )
