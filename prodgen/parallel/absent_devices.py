"""Meshes over accelerators that this machine does not have: programs are compiled, not run.

The plug-in of a platform describes its devices by a name or by a text. JAX itself runs on the
processor meanwhile.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import topologies
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import AxisType, Mesh

from prodgen.core.errors import UsageError
from prodgen.parallel.device_mesh import DATA_AXIS
from prodgen.parallel.targets import Target, format_gpu_config, make_shape_error

CUDA_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")
# Without them libtpu looks for the machine that it is on, and refuses a second process.
TPU_ENVIRONMENT = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def make_absent_mesh(target: Target) -> Mesh:
    """A one-dimensional mesh over all devices of a target, as `device_mesh.make_mesh` has it.

    UsageError where the platform's plug-in is not installed, or knows no such topology.
    """
    check_plugin(target)
    with _default_environment(TPU_ENVIRONMENT if target.chip.platform == "tpu" else {}):
        try:
            description = topologies.get_topology_desc(
                target.topology, **_describe_platform(target)
            )
        except jax.errors.JaxRuntimeError as error:
            if target.chip.gpu:
                raise UsageError(
                    f"the CUDA plug-in of jax does not describe --plan={target.text}: "
                    f"{str(error).splitlines()[0]}",
                    "install the versions of requirements.txt",
                ) from None
            raise make_shape_error(target.text, target.chip) from None
    devices = np.asarray(description.devices)
    return Mesh(devices, (DATA_AXIS,), axis_types=(AxisType.Auto,))


def _describe_platform(target: Target) -> dict:
    """The arguments of `get_topology_desc` beside the topology's name."""
    if target.chip.gpu:
        return {
            "platform": "cuda",
            "target_config": format_gpu_config(target.chip),
            "topology": target.topology,
        }
    options: dict = {"platform": "tpu"}
    if target.chip.chip_config:
        options["chip_config_name"] = target.chip.chip_config
    if target.sizes == (1, 1):  # a host has four chips, unless another number is given
        options["chips_per_host_bounds"] = (1, 1, 1)
    return options


def check_plugin(target: Target) -> None:
    """UsageError, naming the package, where the plug-in of the target's platform is missing."""
    names = CUDA_PLUGINS if target.chip.gpu else ("libtpu",)
    if any(importlib.util.find_spec(name) for name in names):
        return
    package = "cuda" if target.chip.gpu else "tpu"
    raise UsageError(
        f"--plan={target.text} compiles with {names[0]}, which is not installed",
        f'pip install "jax[{package}]=={jax.__version__}"',
    )


@contextlib.contextmanager
def disable_compile_cache() -> Iterator[None]:
    """Within the context, nothing is read from JAX's compile cache or written to it.

    A program for absent devices can be written there and not be read again.
    """
    is_enabled = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX asks for the setting once
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", is_enabled)
        compilation_cache.reset_cache()


@contextlib.contextmanager
def _default_environment(values: dict[str, str]) -> Iterator[None]:
    """Within the context, environment variables that are not set have these values."""
    names = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in names})
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]
