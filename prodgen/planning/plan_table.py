"""The table of a plan: a row for each quantity, a column for each target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ml_collections import ConfigDict

from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.parallel.targets import Target
from prodgen.planning.compile_plan import (
    PLAN_FILE,
    Plan,
    TargetPlan,
    check_fit,
    make_plan,
    write_plan,
)
from prodgen.planning.compiled_program import CompiledProgram
from prodgen.planning.forecast import UTILISATION, Forecast
from prodgen.report.writer import Console
from prodgen.runs import workdir

ABSENT = "-"
GIGA, MEGA = 1e9, 1e6


def format_plan(plan: Plan) -> Iterator[str]:
    """The lines that --plan prints."""
    train, model = plan.config.train, plan.config.model
    weights = ", ".join(f"{name} {count / MEGA:.2f}M" for name, count in plan.weights.items())
    yield f"data     {plan.spec_origin}"
    yield f"model    {model.name}: {weights} weights, {_format_bytes(plan.weight_bytes)}"
    yield (
        f"step     batch {train.batch_size} at {plan.spec.resolution} px, {model.dtype}; "
        f"{plan.image_flops / GIGA:.3g} GFLOP an image by formula; {train.num_steps:,} steps"
    )
    yield ""
    rows = [("", [target.target.text for target in plan.targets])]
    rows += [(title, [get(target) for target in plan.targets]) for title, get in TARGET_ROWS]
    names = dict.fromkeys(program.name for target in plan.targets for program in target.programs)
    for name in names:
        rows.append((f"program {name}", [""] * len(plan.targets)))
        for title, get in PROGRAM_ROWS:
            rows.append(
                (f"  {title}", [_format_program(target, name, get) for target in plan.targets])
            )
    rows.append(("forecast of the run", [""] * len(plan.targets)))
    for title, get_value in FORECAST_ROWS:
        cells = [_format_forecast(target.forecast, get_value) for target in plan.targets]
        rows.append((f"  {title}", cells))
    yield from align(rows)
    for target in plan.targets:
        if target.memory_error:
            yield f"{target.target.text}: the compiler reports: {target.memory_error}"


def align(rows: list[tuple[str, list[str]]]) -> Iterator[str]:
    """The rows as text: titles to the left, cells to the right, columns of one width each."""
    title_width = max(len(title) for title, _ in rows)
    columns = zip(*(cells for _, cells in rows), strict=True)
    widths = [max(len(cell) for cell in column) for column in columns]
    for title, cells in rows:
        aligned_cells = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        yield f"{title:<{title_width}}  {'  '.join(aligned_cells)}".rstrip()


def _format_program(plan: TargetPlan, name: str, get: Callable[[CompiledProgram], str]) -> str:
    program = next((program for program in plan.programs if program.name == name), None)
    return ABSENT if program is None else get(program)


def _format_forecast(run_forecast: Forecast | None, get: Callable[[Forecast], str]) -> str:
    return ABSENT if run_forecast is None else get(run_forecast)


def _format_fit(plan: TargetPlan) -> str:
    if plan.is_fitting:
        return "yes"
    return f"no, {plan.fitting_batch} does" if plan.fitting_batch else "no batch does"


def _format_bytes(size: float) -> str:
    return f"{size / GIGA:.2f} GB" if size >= GIGA else f"{size / MEGA:.1f} MB"


def _format_seconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"


TARGET_ROWS: list[tuple[str, Callable[[TargetPlan], str]]] = [
    ("devices", lambda plan: f"{plan.target.num_devices}"),
    ("hosts", lambda plan: f"{plan.target.num_hosts}"),
    ("memory a device", lambda plan: _format_bytes(plan.memory_bytes) if plan.programs else ABSENT),
    ("of what a program can take",
     lambda plan: f"{plan.memory_bytes / plan.memory_limit:.1%}" if plan.programs else ABSENT),
    ("the batch fits", _format_fit),
]  # fmt: skip
PROGRAM_ROWS: list[tuple[str, Callable[[CompiledProgram], str]]] = [
    ("arguments", lambda program: _format_bytes(program.argument_bytes)),
    ("temporaries", lambda program: _format_bytes(program.temporary_bytes)),
    ("convolutions", lambda program: f"{program.counts.convolutions}"),
    ("  of different kinds", lambda program: f"{program.counts.convolution_kinds}"),
    ("matrix products", lambda program: f"{program.counts.matrix_products}"),
    ("  of different kinds", lambda program: f"{program.counts.matrix_product_kinds}"),
    ("transposes", lambda program: f"{program.counts.transposes}"),
    ("copies", lambda program: f"{program.counts.copies}"),
    ("collectives", lambda program: f"{program.counts.collectives}"),
    ("  bytes a step", lambda program: _format_bytes(program.counts.collective_bytes)),
    ("seconds to trace", lambda program: f"{program.trace_seconds:.1f}"),
    ("seconds to compile", lambda program: f"{program.compile_seconds:.1f}"),
    ("  of a processor", lambda program: f"{program.compile_cpu_seconds:.1f}"),
]
FORECAST_ROWS: list[tuple[str, Callable[[Forecast], str]]] = [
    ("step by operations", lambda value: _format_seconds(value.flops_seconds)),
    ("step by memory", lambda value: _format_seconds(value.memory_seconds)),
    ("step by interconnect", lambda value: _format_seconds(value.interconnect_seconds)),
    ("bound", lambda value: value.bound),
    ("images/s at the bound", lambda value: f"{value.bound_images_per_second:,.0f}"),
    (f"images/s at {UTILISATION:.0%} of the peak",
     lambda value: f"{value.expected_images_per_second:,.0f}"),
    ("hours at that rate", lambda value: f"{value.hours:,.2f}"),
    ("device hours", lambda value: f"{value.device_hours:,.2f}"),
    ("kWh of the devices",
     lambda value: ABSENT if value.kilowatt_hours is None else f"{value.kilowatt_hours:,.2f}"),
]  # fmt: skip


def print_plan(config: ConfigDict, targets: list[Target], path: Path) -> None:
    """Make the plan of a run, print it, and write plan.json into the run's folder.

    The folder is made where it is absent and is not locked: a run may be training in it. UsageError
    where a target cannot run the config or does not have the memory; then the plan is there, too.
    """
    console = Console()
    with handle_signals(stop_at_once):
        plan = make_plan(config, targets, path, console.print_progress)
    workdir.make_workdir(path)
    write_plan(plan, path)
    for line in format_plan(plan):
        console.print_line(line)
    console.print_line(f"plan     {path / PLAN_FILE}")
    check_fit(plan)
