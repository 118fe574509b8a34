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

    splits_kernel_gradients: a convolution's kernel gradient is computed in parts of the batch.
    groups: a grouped convolution is `native`, or dense convolutions over `packs` of groups.
    strided: a convolution of stride 2 is `native`, or stride-free ones of its `phases`.
    scans_blocks: equal residual blocks are one loop. Where not, loops are unrolled.
    """

    splits_kernel_gradients: bool
    groups: str
    strided: str
    scans_blocks: bool


LOWERINGS = {
    "cpu": Lowering(True, "packs", "phases", scans_blocks=False),
    "gpu": Lowering(False, "native", "native", scans_blocks=True),
    "tpu": Lowering(False, "packs", "phases", scans_blocks=True),
}
_current: contextvars.ContextVar[Lowering | None] = contextvars.ContextVar("lowering", default=None)


def select_lowering(platform: str, num_devices: int) -> Lowering:
    """The lowering for so many devices of a platform: cpu, gpu (or cuda, rocm), or tpu.

    The kernel gradient of a batch on several devices is not computed in parts of the batch: they
    would be sent between the devices.
    """
    lowering = LOWERINGS[{"cuda": "gpu", "rocm": "gpu"}.get(platform, platform)]
    return dataclasses.replace(
        lowering, splits_kernel_gradients=lowering.splits_kernel_gradients and num_devices == 1
    )


def current_lowering() -> Lowering:
    """The lowering that layers are traced with: of `lower_for`, else of this process's devices."""
    return _current.get() or select_lowering(jax.default_backend(), jax.device_count())


def lower_for(mesh: Mesh, function: Callable) -> Callable:
    """The function, traced with the lowering of the mesh's devices."""
    lowering = select_lowering(mesh.devices.flat[0].platform, mesh.size)

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
