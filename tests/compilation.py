"""The XLA flags of the tests: code that is quick to compile. Imports no JAX, which reads them."""

from importlib.metadata import version

# A third of the default's compile time; the computed function is the same. XLA ends the process
# for a flag that it does not know.
QUICK_XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
if version("jaxlib").split(".")[:2] == ["0", "10"]:
    QUICK_XLA_FLAGS += " --xla_cpu_use_fusion_emitters=false"
EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"
