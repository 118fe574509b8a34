"""The process that measures sections, and the supervisor that gives it one after the other."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from benchmarks._accelerator_plan import Options, Section
from benchmarks._accelerator_record import Record
from prodgen.core.errors import ProdgenError, UsageError

TINY_XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
START_SECONDS = 120.0  # to open the device, at most
LIMIT_FACTOR = 3  # a section is given up after so many times its estimate


def measure_sections(
    sections: Sequence[Section], options: Options, record: Record, deadline: float
) -> None:
    """Measure what the record lacks, until the deadline (of time.monotonic).

    UsageError where the device does not open, ProdgenError where it fails the self-test.
    """
    worker = None
    try:
        for section in sections:
            if record.has_finished(section):
                print(f"{section.name}: finished before", flush=True)
                continue
            remaining_s = deadline - time.monotonic()
            if section.estimate_s > remaining_s:
                reason = f"needs about {section.estimate_s:.0f} s, {max(remaining_s, 0):.0f} s left"
                record.add(section, {"status": "skipped", "reason": reason})
                continue
            worker = replace_worker(worker, section, options, record)
            if worker.device is None:
                continue
            remaining_s = max(deadline - time.monotonic(), 1.0)
            print(f"{section.name}: about {section.estimate_s:.0f} s ...", flush=True)
            answer = worker.measure(section, find_limit(section, remaining_s), remaining_s)
            record.add(section, answer)
            print(f"{section.name}: {answer['status']} {answer.get('reason', '')}", flush=True)
            if section.function == "run_self_test" and answer["status"] != "finished":
                raise ProdgenError(
                    f"the self-test: {answer['reason']}", "install the versions of requirements.txt"
                )
    finally:
        if worker:
            worker.close()


def find_limit(section: Section, remaining_s: float) -> float:
    """Seconds after which a section is given up. The training ends by itself."""
    if section.function == "train":
        return remaining_s
    return min(remaining_s, max(LIMIT_FACTOR * section.estimate_s, remaining_s / 3))


def replace_worker(
    worker: Worker | None, section: Section, options: Options, record: Record
) -> Worker:
    """The worker, or a new one where it has ended or has other kernels than the section needs.

    Where the device does not open, the section fails; UsageError at the first section.
    """
    if worker and worker.is_alive and worker.is_deterministic == section.is_deterministic:
        return worker
    if worker:
        worker.close()
    worker = Worker(options, section.is_deterministic)
    if worker.device is not None:
        record.check_device(worker.device)
        return worker
    worker.close()
    if not record.content["device"]:
        raise UsageError(
            f"the device did not open: {worker.error}",
            "install jax for it (see README.md); or test the program with --tiny",
        )
    record.add(section, {"status": "failed", "reason": worker.error})
    return worker


class Worker:
    """A process with the device open. `device` describes it, or is None where it did not open."""

    def __init__(self, options: Options, is_deterministic: bool):
        self.is_deterministic = is_deterministic
        context = multiprocessing.get_context("spawn")  # JAX does not survive a fork
        self.connection, other_end = context.Pipe()
        arguments = (other_end, options, is_deterministic)
        self.process = context.Process(target=work, args=arguments)
        self.process.start()
        other_end.close()
        start = self._receive(START_SECONDS)
        self.device: dict[str, Any] | None = start.get("result")
        self.error: str = start.get("reason", "")

    def measure(self, section: Section, limit_s: float, remaining_s: float) -> dict[str, Any]:
        """{"status": "finished", "result"} of a section; or "failed" or "stopped" and "reason".

        After "stopped" the process has ended.
        """
        self.connection.send((section, remaining_s))
        return self._receive(limit_s)

    def _receive(self, limit_s: float) -> dict[str, Any]:
        """The process's answer; it is ended where none comes within the limit."""
        try:
            if self.connection.poll(limit_s):
                return self.connection.recv()
            reason = f"it took more than {limit_s:.0f} s"
        except (EOFError, OSError):
            self.process.join(10)
            reason = f"its process ended with code {self.process.exitcode}"
        self.close()
        return {"status": "stopped", "reason": reason}

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def work(connection: Connection, options: Options, is_deterministic: bool) -> None:
    """Open the device, describe it, then measure each section that is received."""
    # The cold compile time needs a cache that is empty, in place of the user's.
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    os.environ["XDG_CACHE_HOME"] = str(options.out / "cache")
    if options.is_tiny:  # most of its time is compilation
        os.environ.setdefault("XLA_FLAGS", TINY_XLA_FLAGS)
    try:
        from benchmarks import _accelerator_sections as sections

        session = sections.start_session(options, is_deterministic)
        device = sections.describe_device(session)
    except Exception as error:
        connection.send(describe_failure(error))
        return
    connection.send({"status": "finished", "result": device})
    while True:
        try:
            section, session.remaining_s = connection.recv()
        except EOFError:  # the supervisor has ended
            return
        start = time.monotonic()
        try:
            result = getattr(sections, section.function)(session, *section.arguments)
            answer = {"status": "finished", "result": result}
        except Exception as error:
            answer = describe_failure(error)
        connection.send(answer | {"seconds": time.monotonic() - start})


def describe_failure(error: Exception) -> dict[str, Any]:
    """The answer for an error; the traceback of a defect goes to standard error."""
    if isinstance(error, ProdgenError):
        return {"status": "failed", "reason": str(error)}
    traceback.print_exc()
    message = (str(error).splitlines() or [""])[0][:300]
    return {"status": "failed", "reason": f"{type(error).__name__}: {message}"}
