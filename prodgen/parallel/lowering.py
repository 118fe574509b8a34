"""How layers become operations: the fastest equal program for each platform.

Layers have the same weights and values on all platforms, and other operations. A step takes the
lowering of the mesh that it is compiled for, which may be of devices that are absent here.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.sharding import Mesh


@dataclasses.dataclass(frozen=True)
class Lowering:
    """What layers ask while a step is traced.

    has_own_gradients: convolutions are differentiated by the rules of models/blocks.py, not JAX's.
    splits_kernel_gradients: a kernel's gradient is computed in parts of the batch.
    pack_channels: a grouped convolution is dense ones over packs of groups, each of so many
    channels; 0: XLA's own grouped convolution.
    has_native_strides: a convolution of stride 2 is XLA's own. Where not, and for all transposed
    ones, the phases of models/strided.py are used; splits_phases: each in a convolution of its own.
    has_control_flow: equal blocks in sequence, and the parts of a batch, are one loop, and the
    variants of a step branches of one program. Where not, loops are unrolled and variants apart.
    maps_devices: on several devices the step is mapped over them. Where not, XLA divides the
    operations of the whole batch.
    loops_over_convolutions: the equal convolutions of such blocks are one loop, too.
    """

    has_own_gradients: bool
    splits_kernel_gradients: bool
    pack_channels: int
    has_native_strides: bool
    splits_phases: bool
    has_control_flow: bool
    maps_devices: bool
    loops_over_convolutions: bool


_PLATFORM_NAMES = {"cuda": "gpu", "rocm": "gpu"}
# CPU: XLA's fast path is for convolutions of stride 1 outside loops, and packs of 32 channels are
# the fastest of 8 to 128 for groups of 4 to 32, with gradients. GPU: cuDNN has kernels for groups,
# strides and their gradients. TPU: a matrix unit has 128 lanes, which narrower groups leave empty;
# a large convolution takes its compiler several seconds.
LOWERINGS = {
    "cpu": Lowering(
        has_own_gradients=True,
        splits_kernel_gradients=True,
        pack_channels=32,
        has_native_strides=False,
        splits_phases=True,
        has_control_flow=False,
        maps_devices=False,
        loops_over_convolutions=False,
    ),
    "gpu": Lowering(
        has_own_gradients=False,
        splits_kernel_gradients=False,
        pack_channels=0,
        has_native_strides=True,
        splits_phases=False,
        has_control_flow=True,
        maps_devices=True,
        loops_over_convolutions=False,
    ),
    "tpu": Lowering(
        has_own_gradients=False,
        splits_kernel_gradients=False,
        pack_channels=128,
        has_native_strides=False,
        splits_phases=False,
        has_control_flow=True,
        maps_devices=True,
        loops_over_convolutions=True,
    ),
}
# Triton's kernels for matrix products are compiled one by one, on a GPU several for each product,
# of which the fastest is chosen. cuBLAS has its kernels ready.
COMPILER_OPTIONS = {"cpu": {}, "gpu": {"xla_gpu_enable_triton_gemm": False}, "tpu": {}}
_current: contextvars.ContextVar[Lowering | None] = contextvars.ContextVar("lowering", default=None)


def select_lowering(platform: str, num_devices: int) -> Lowering:
    """The lowering for so many devices of a platform: cpu, gpu (or cuda, rocm), or tpu.

    The kernel gradient of a batch on several devices is not computed in parts of the batch: they
    would be sent between the devices.
    """
    lowering = LOWERINGS[_PLATFORM_NAMES.get(platform, platform)]
    return dataclasses.replace(
        lowering, splits_kernel_gradients=lowering.splits_kernel_gradients and num_devices == 1
    )


def compiler_options(mesh: Mesh) -> dict[str, bool]:
    """XLA's options for programs of the mesh's devices."""
    platform = mesh.devices.flat[0].platform
    return COMPILER_OPTIONS[_PLATFORM_NAMES.get(platform, platform)]


def current_lowering() -> Lowering:
    """The lowering that layers are traced with: of `lower_for`, else of this process's devices."""
    return _current.get() or select_lowering(jax.default_backend(), jax.device_count())


def lowering_of(mesh: Mesh) -> Lowering:
    """The lowering for the devices of a mesh.

    On the CPU the process's devices count, also those outside the mesh: runs that began so go on
    with the same bits.
    """
    platform = mesh.devices.flat[0].platform
    return select_lowering(platform, jax.device_count() if platform == "cpu" else mesh.size)


def lower_for(mesh: Mesh, function: Callable) -> Callable:
    """The function, traced with the lowering of the mesh's devices."""
    lowering = lowering_of(mesh)

    def lowered_function(*arguments: Any) -> Any:
        with use_lowering(lowering):
            return function(*arguments)

    return lowered_function


@contextlib.contextmanager
def use_lowering(lowering: Lowering) -> Iterator[None]:
    """Trace with this lowering."""
    token = _current.set(lowering)
    try:
        yield
    finally:
        _current.reset(token)
