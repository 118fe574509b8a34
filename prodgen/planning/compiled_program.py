"""Compiling one program for absent devices, and what the compiler says about it."""

from __future__ import annotations

import dataclasses
import resource
import time
from collections.abc import Callable
from typing import Any

import jax

from prodgen.parallel.program_counts import ProgramCounts, count_instructions

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"


@dataclasses.dataclass(frozen=True)
class CompiledProgram:
    """A program's compilation: seconds, processor seconds, counts, and bytes on each device.

    result_bytes: without those that take the memory of donated arguments. compile_cpu_seconds: of
    the whole process; nothing else runs in it meanwhile.
    """

    name: str
    trace_seconds: float
    compile_seconds: float
    compile_cpu_seconds: float
    counts: ProgramCounts
    argument_bytes: int
    result_bytes: int
    donated_bytes: int
    temporary_bytes: int
    code_bytes: int

    @property
    def memory_bytes(self) -> int:
        """What a device holds while the program runs."""
        return self.argument_bytes + self.result_bytes + self.temporary_bytes + self.code_bytes

    @property
    def traffic_bytes(self) -> int:
        """What a device reads or writes at least: each argument, result and temporary once."""
        return self.memory_bytes + self.donated_bytes - self.code_bytes

    def to_json(self) -> dict[str, Any]:
        """A flat dict, the counts among the others."""
        values = dataclasses.asdict(self)
        return values | values.pop("counts")


class DeviceMemoryError(Exception):
    """The compiler found no way to run a program in a device's memory; the message is its."""


def compile_program(name: str, step: Callable, *arguments: Any) -> CompiledProgram:
    """Trace and compile a jitted step for its mesh. DeviceMemoryError where it does not fit."""
    start = time.monotonic()
    lowered_step = step.lower(*arguments)
    trace_end, cpu_start = time.monotonic(), _cpu_seconds()
    try:
        program = lowered_step.compile()
    except jax.errors.JaxRuntimeError as error:
        if OUT_OF_MEMORY not in str(error):
            raise
        raise DeviceMemoryError(_find_memory_line(str(error))) from None
    compile_end, cpu_end = time.monotonic(), _cpu_seconds()
    memory = program.memory_analysis()
    return CompiledProgram(
        name=name,
        trace_seconds=trace_end - start,
        compile_seconds=compile_end - trace_end,
        compile_cpu_seconds=cpu_end - cpu_start,
        counts=count_instructions(program.as_text()),
        argument_bytes=memory.argument_size_in_bytes,
        result_bytes=memory.output_size_in_bytes - memory.alias_size_in_bytes,
        donated_bytes=memory.alias_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        code_bytes=memory.generated_code_size_in_bytes,
    )


def _cpu_seconds() -> float:
    """Seconds of processor time that this process has taken, in all its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _find_memory_line(message: str) -> str:
    """The line of the compiler's message that names sizes, as "Used 20.49G of 15.75G hbm"."""
    lines = message.splitlines()
    return next((line.strip() for line in lines if "Used " in line), lines[0])
