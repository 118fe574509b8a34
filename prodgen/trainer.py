"""The training loop: restore, then for each step: batch, step, log, evaluate, sheet, checkpoint.

Each of these is timed. The metrics of a step are read while the next step runs, so that the device
never waits for the host.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from prodgen.cli import commandline
from prodgen.core import errors, mirror, rng, trees
from prodgen.core.signals import handle_signals, stop_at_once
from prodgen.core.types import Batch
from prodgen.data import order, prepare, resident
from prodgen.data.conditions import Conditions
from prodgen.data.source import SOURCE_PATHS
from prodgen.data.store import Store
from prodgen.evaluation import fitness_record, frozen_networks
from prodgen.evaluation.evaluator import Evaluator
from prodgen.evaluation.monitor import CollapseMonitor
from prodgen.evaluation.run_summary import describe_run, record_devices, write_run_files
from prodgen.evaluation.sample_sheets import SampleSheets
from prodgen.parallel import compilation, device_mesh, selftest
from prodgen.parallel.peers import Peers
from prodgen.parallel.shared_stop import SharedStop
from prodgen.report import clock, plots, run_page, writer
from prodgen.runs import workdir
from prodgen.runs.checkpoint import CheckpointManager
from prodgen.runs.run import build_run_state, get_step_module, open_run
from prodgen.steps.state import load_pretrained, without_optimisers


def train(
    config: ConfigDict, path: Path, init_from: Path | None = None, peers: Peers | None = None
) -> None:
    """Start or continue the run in `path`. peers: its processes, connected; None: this one alone.

    The caller holds the folder's lock and has checked that config and `init_from` may continue it.
    """
    console = writer.Console()
    with handle_signals(stop_at_once):
        trainer = open_trainer(config, path, console, peers or Peers())
        trainer.peers.describe_state = trainer.checkpoints.describe_last_good
        try:
            trainer.setup(init_from)
            trainer.run_steps()
            if trainer.peers.is_main:
                trainer.write_report()
        except errors.ProdgenError as error:
            error.saved_state = error.saved_state or trainer.checkpoints.describe_last_good()
            raise
        except OSError as error:
            error.filename = error.filename or str(path)
            storage_error = errors.StorageError.from_os_error(error)
            storage_error.saved_state = trainer.checkpoints.describe_last_good()
            raise storage_error from error
        finally:
            trainer.close()


def open_trainer(
    config: ConfigDict, path: Path, console: writer.Console, peers: Peers | None = None
) -> Trainer:
    """The trainer of a run in `path`: devices, self-test, data. Nothing is written there yet."""
    peers = peers or Peers()
    mesh = device_mesh.initialise_jax(config)
    selftest.run()
    field, say = SOURCE_PATHS.get(config.data.source), console.throttle_progress()
    with workdir.advise_on_moved_images(path, field):
        source = prepare.source_from_config(config.data)
    with (
        peers.main_first("preparing the data", say, is_slow=True),
        workdir.advise_on_moved_images(path, field, errors.TooFewImages),
    ):
        store = prepare.open_or_prepare(config.data, peers.watch(say), source)
    workdir.check_data(path, store.digest())
    order.check_batch_size(len(store.ids("train")), config.train.batch_size)
    # A feed that cannot be opened is an error now, before the step is compiled.
    feed = resident.choose_feed(config.data.feed, store, mesh)
    facts = {"devices": device_mesh.describe_devices(), "feed": feed}
    peers.require_equal("data", facts | {"data digest": store.digest()})
    return Trainer(config, path, store, mesh, console, peers)


class Trainer:
    """One run in one process: the state that the methods of the loop share."""

    def __init__(self, config, path: Path, store: Store, mesh, console, peers: Peers):
        self.config, self.path, self.store, self.mesh = config, path, store, mesh
        self.console, self.peers = console, peers
        self.step_module = get_step_module(config)
        self.checkpoints = CheckpointManager(path, config.train.keep, config.train.keep_best)
        self.clock = clock.Clock()
        self.stop_signal: str | None = None  # the name of the signal that requested a stop
        self.stop_request: str | None = None  # on which every process acts after this step
        self.score: float | None = None  # of the validation at the current step, if there was one
        self.pending_metrics: tuple[int, Any] | None = None  # of a step, still on the device
        self.last_metrics: Any = {}  # of the last step that was logged
        self.writer: writer.MetricsWriter | writer.NoWriter = writer.NoWriter()
        self.shared_stop = SharedStop(mesh) if peers.has_several else None

    # Before the first step

    def setup(self, init_from: Path | None) -> None:
        """Restore or initialise the state, write config.json, load networks, open the feed."""
        config, path, spec = self.config, self.path, self.store.spec
        self.conditions = Conditions.from_store(self.store).visible_to(config)
        abstract_state = build_run_state(config, spec, self.mesh)
        checkpoint = self.checkpoints.restore(abstract_state, self.console.print_line)
        if checkpoint is None:
            self.step, self.state = 0, self._init_state(init_from, abstract_state)
        else:
            self.step, self.state = checkpoint
            if self.peers.is_main:
                workdir.update_config(path, config)
        self.session_start_step = self.step
        if self.peers.is_main:
            metric, say = f"val/{self.step_module.SCORE_METRIC}", self.console.print_line
            self.writer = writer.open_writer(path, self.step, config, metric, say)
        lines = [*describe_run(path, config, self.store, self.state, self.step, self.mesh)]
        lines += record_devices(path, self.step, self.mesh) if self.peers.is_main else []
        for line in lines:
            self.console.print_line(line)
        with self.clock("classifier"):
            networks = frozen_networks.load_for_run(
                self.step_module, config, self.store, path, self.console, self.peers
            )
        self.frozen = device_mesh.replicate(self.mesh, networks)
        self.seed = device_mesh.replicate(self.mesh, np.int32(config.seed))
        self.evaluator = Evaluator(self.step_module, config, self.store, self.mesh, "validation")
        self.monitor = CollapseMonitor(self.path, config)
        self.sheets = SampleSheets(self.step_module, config, self.store, self.conditions)
        self.feed = self._open_feed()

    def _init_state(self, init_from: Path | None, abstract_state: Any) -> Any:
        """The state of a new run, and the files that describe it."""
        config, spec = self.config, self.store.spec
        shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract_state)
        init = functools.partial(self.step_module.init, config, spec)
        state = compilation.jit_unoptimised(init, shardings)(rng.key(config.seed, "init"))
        # Take over the donor's weights, and report the leaves that it does not have.
        origin: dict[str, Any] = {}
        if init_from:
            donor = open_run(init_from)
            state = device_mesh.fetch_local(self.mesh, state)
            state, transfer = load_pretrained(state, donor.state, spec, donor.spec)
            state = device_mesh.place(state, shardings)
            summary = transfer.describe(f"{init_from} at step {donor.step}")
            self.console.print_line(f"init_from: {summary}")
            origin = {"fingerprint": donor.record["fingerprint"], "step": donor.step}
            origin |= {"summary": summary, "differences": transfer.differences}
        if self.peers.is_main:
            write_run_files(self.path, config, self.store, self.conditions, origin)
        return state

    def _open_feed(self) -> Iterator[Batch]:
        """The batches of the training split from the current step on."""
        config, mesh, size = self.config, self.mesh, self.config.train.batch_size
        start = self.step * self.step_module.real_batches(config)
        if resident.choose_feed(config.data.feed, self.store, mesh) == "resident":
            shardings = device_mesh.replicated_sharding(mesh), device_mesh.batch_sharding(mesh)
            return resident.iterate_batches(self.store, config.seed, size, start, *shardings)
        from prodgen.data import tfdata  # TensorFlow is loaded only where it feeds

        slots = device_mesh.local_slots(mesh, size)
        host_batches = tfdata.iterate_batches(self.store, config.seed, size, slots, start)
        return (device_mesh.to_global_arrays(mesh, batch) for batch in host_batches)

    def take_batches(self) -> tuple[Batch, ...]:
        """The batches of the next step."""
        return tuple(next(self.feed) for _ in range(self.step_module.real_batches(self.config)))

    def compile_variants(self, batches: tuple[Batch, ...]) -> list[Any]:
        """The compiled programs that the steps run in turn; they cannot be compiled again."""
        self.console.print_progress("compiling the step ...")
        with self.clock("compile"), self.peers.compiling("compiling"):
            return compilation.compile_variants(
                self.step_module, self.config, self.store.spec, self.mesh,
                self.state, batches, (self.frozen, self.seed),
            )  # fmt: skip

    # The loop

    def run_steps(self) -> None:
        """Run until the last step, or until a signal requests a stop."""
        options, programs = self.config.train, None
        self.clock.start(self.step)
        with handle_signals(self._request_stop):
            while self.step < options.num_steps:
                with self.clock("data"):
                    batches = self.take_batches()
                if programs is None:
                    programs = self.compile_variants(batches)
                    self.peers.wait_for_all("compiled")
                    self.peers.watch_steps()
                with self.clock("step"):
                    program = programs[self.step % len(programs)]
                    self.state, metrics = program(self.state, batches, (self.frozen, self.seed))
                    self._log_pending_metrics()
                self.step, self.score = self.step + 1, None
                self.pending_metrics = (self.step, metrics)
                self.checkpoints.raise_if_failed()
                self._log_first_step()

                # What is due after this step; everything is due after the last one.
                is_last = self.step == options.num_steps
                if is_last or self.step % options.evaluate_every == 0:
                    self._evaluate()
                if is_last or self.step % options.sample_every == 0:
                    self._write_sheets()
                must_stop = self._must_stop() and not is_last
                if is_last or must_stop or self.step % options.checkpoint_every == 0:
                    self._save_checkpoint()
                if must_stop:
                    self._finish(errors.StoppedError.code)
                    raise errors.StoppedError(
                        f"stopped by {self.stop_request} at step {self.step} of "
                        f"{options.num_steps}",
                        "give the same command again to continue",
                    )
            self._log_pending_metrics()
            self._finish()

    def _finish(self, code: int = 0) -> None:
        """Wait until the last checkpoint is complete, on every process."""
        self.checkpoints.wait()
        self.peers.leave("the last checkpoint", code)

    def _must_stop(self) -> bool:
        """Whether this process, or at the same step another one, has been asked to stop."""
        self.peers.report_progress()
        request = self.stop_signal
        self.stop_request = self.shared_stop(request) if self.shared_stop else request
        return self.stop_request is not None

    def _request_stop(self, number: int, frame: Any) -> None:
        """SIGTERM and the first Ctrl-C stop after the step; a second Ctrl-C interrupts it."""
        if self.stop_signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop_signal = signal.Signals(number).name

    def _log_first_step(self) -> None:
        """Measure the time to the first step of a session, and start counting the rate."""
        if "first step" not in self.clock.seconds:
            jax.block_until_ready(self.state)
            self.clock.seconds["first step"] = time.monotonic() - commandline.START_TIME_S
            compile_s, first_step_s = (
                self.clock.seconds["compile"],
                self.clock.seconds["first step"],
            )
            text = f"compiled in {compile_s:.1f} s, first step after {first_step_s:.1f} s"
            self.console.print_line(text)
            self.clock.start(self.step)

    def _log_pending_metrics(self) -> None:
        """Log the step before: its values are ready, or will be before those of this step."""
        if self.pending_metrics is None:
            return
        (step, metrics), self.pending_metrics = self.pending_metrics, None
        num_skipped = int(metrics["skipped_in_a_row"])
        self.last_metrics = metrics
        if num_skipped:
            self.console.print_line(
                f"step {step} skipped: loss or gradient not finite ({num_skipped} in a row)"
            )
        options = self.config.train
        if step % options.log_every == 0 or step == options.num_steps:
            values = {name: float(value) for name, value in metrics.items()}
            rates = self.clock.rates(step, options.batch_size)
            self.writer.write_metrics(step, values)
            self.writer.write_timing(step, rates)
            self.console.print_step(step, options.num_steps, rates, values)
        if num_skipped >= options.max_bad_steps:
            raise errors.DivergenceError(
                f"{num_skipped} steps in a row, up to {step}, had a loss or gradient not finite",
                "train a new run with a smaller config.optim.lr=VALUE",
            )

    def _evaluate(self) -> None:
        """Write validation metrics, print them, and warn of a collapse."""
        self._log_pending_metrics()
        with self.clock("evaluate"), self.peers.compiling("evaluating"):
            values = self.evaluator(self.state, self.frozen, self.peers.report_progress)
        if not values:
            return
        score = self.step_module.score(values)
        self.score = score if np.isfinite(score) else None
        # The monitor reads the gradient norms of the last step, too.
        norms = {k: v for k, v in self.last_metrics.items() if k.startswith("grad_norm/")}
        values |= {name.replace("/", "_"): float(value) for name, value in norms.items()}
        finite_values = {f"val/{name}": v for name, v in values.items() if np.isfinite(v)}
        self.writer.write_metrics(self.step, finite_values)
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.console.print_line(f"validation, step {self.step}  {text}")
        for name, evidence in self.monitor(self.step, values).items():
            self.console.print_line(f"WARNING  step {self.step}: {name}: {evidence}")

    def _write_sheets(self) -> None:
        with self.clock("sheet"):
            state = device_mesh.fetch_local(self.mesh, without_optimisers(self.state))
            with self.peers.main_first("drawing sheets"):
                if self.peers.is_main:
                    folder = self.path / "samples"
                    self.sheets.write(state, folder, self.step, self.peers.compiling)

    def _save_checkpoint(self) -> None:
        self._log_pending_metrics()
        with self.clock("checkpoint"):
            leaf = trees.find_non_finite(self.state)
            if leaf is not None:
                raise errors.DivergenceError(
                    f"step {self.step}: {leaf} is not finite; the state was not saved",
                    "train a new run with a smaller config.optim.lr=VALUE",
                )
            self.checkpoints.save(self.step, self.state, self.score)
        totals = self.clock.totals() | device_mesh.device_stats(self.mesh)
        self.writer.write_timing(self.step, {"session": self.session_start_step, **totals})

    # After the last step

    def write_report(self) -> None:
        """Draw the curves and write the report of a finished run."""
        if not self.peers.has_several:
            for line in fitness_record.measure_at_end(self.path, self.store, self.conditions):
                self.console.print_line(line)
        plots.plot_curves(self.path)
        run_page.write_report(self.path, self.monitor.describe_verdicts())
        self.console.print_line(f"done     {mirror.describe_place(self.path)}/report.html")

    def close(self) -> None:
        """Close the files; an error of the last flush has been reported already."""
        self.checkpoints.close()
        with contextlib.suppress(OSError):
            self.writer.close()
