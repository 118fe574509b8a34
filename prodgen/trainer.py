"""The loop: restore, then for each step: batch, step, log, evaluate, sheet, checkpoint.

Each of these is one method with one timer. Metrics of a step are read while the next one runs, so
that the device never waits for the host.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from prodgen.cli import commandline
from prodgen.core import images, rng, trees
from prodgen.core.errors import Diverged, ProdgenError, Stopped, StorageError, UsageError
from prodgen.core.files import write_atomically
from prodgen.core.types import Batch
from prodgen.data import order, prepare, resident
from prodgen.data.conditions import Conditions
from prodgen.data.store import SPLITS, Store
from prodgen.evaluation import classifier
from prodgen.evaluation.evaluator import Judge, Sentinel, Sheets, describe
from prodgen.parallel import compilation, device_mesh, selftest
from prodgen.report import clock, html, plots, writer
from prodgen.runs import checkpoint
from prodgen.runs import folder as workdir
from prodgen.runs import open as runs
from prodgen.steps.state import load_pretrained

SHOWN = ("loss", "nll", "kl", "g/loss", "d/loss", "d/real", "d/fake", "augment/p")  # on the console


def train(config: ConfigDict, path: Path, init_from: Path | None = None) -> None:
    """Train, or go on training, the run in `path`.

    The caller holds the folder's lock and has checked that config and origin may continue it.
    """
    console = writer.Console()
    with _signals(_stop_at_once):
        mesh = device_mesh.initialise_jax(config)
        selftest.run()
        store = prepare.open_or_prepare(config.data, console.throttled())
        workdir.check_data(path, store.digest())
        order.check_batch_size(len(store.ids("train")), config.train.batch_size)
        resident.choose_feed(config.data.feed, store, mesh)  # refused now, not after compiling
        trainer = Trainer(config, path, store, mesh, console)
        try:
            trainer.begin(init_from)
            trainer.loop()
            trainer.finish()
        except ProdgenError as error:
            error.safe = error.safe or trainer.checkpoints.last_good()
            raise
        except OSError as error:
            failed = StorageError.of(error, "give the same command again")
            failed.safe = trainer.checkpoints.last_good()
            raise failed from error
        finally:
            trainer.close()


@contextlib.contextmanager
def _signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C go to `handler` in here."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def _stop_at_once(number: int, frame: Any) -> None:
    """Outside the loop nothing is lost by leaving: the next start goes on from here."""
    name = signal.Signals(number).name
    raise Stopped(f"stopped by {name} outside training", "give the same command again to continue")


class Trainer:
    """One run in one process: what the loop's methods share."""

    def __init__(self, config, path: Path, store: Store, mesh, console):
        self.config, self.path, self.store, self.mesh = config, path, store, mesh
        self.console = console
        self.family = runs.family(config)
        self.checkpoints = checkpoint.Checkpoints(path, config.train.keep, config.train.keep_best)
        self.clock = clock.Clock()
        self.stop: str | None = None  # the signal that asked to stop
        self.score: float | None = None  # of the judgement at the current step, if there was one
        self.pending: tuple[int, Any] | None = None  # a step's metrics, still on the device
        self.last: Any = {}  # the metrics of the step read last
        self.writer: writer.Writer | None = None

    # Before the first step

    def begin(self, init_from: Path | None) -> None:
        """Restore or initialise the state, write the run's papers, compile, open the feed."""
        whole = device_mesh.replicated_sharding(self.mesh)
        like = runs.abstract_state(self.config, self.store.spec, whole)
        self.conditions = Conditions.from_store(self.store).visible_to(self.config)
        found = self.checkpoints.restore(like, self.console.say)
        self.step, self.state = found or (0, self._fresh(init_from, whole))
        self.first = self.step  # of this session
        if found:
            workdir.update(self.path, self.config)
        self.writer = writer.Writer(self.path, self.step, self.config.train.tensorboard)
        self._introduce(resumed=found is not None)
        self.frozen = self._networks(whole)
        self.judge = Judge(self.family, self.config, self.store, self.mesh, "validation")
        self.sentinel = Sentinel(self.path, self.config)
        self.sheets = Sheets(self.family, self.config, self.store, self.conditions)
        self.feed = self._open_feed()

    def _fresh(self, init_from: Path | None, whole: Any) -> Any:
        config, spec = self.config, self.store.spec
        init = compilation.jit_unoptimised(lambda key: self.family.init(config, spec, key), whole)
        state = init(rng.key(config.seed, "init"))
        origin: dict[str, Any] = {}
        if init_from:
            donor = runs.open_run(init_from)
            state, differences = load_pretrained(state, donor.state, spec, donor.spec)
            state = jax.device_put(state, whole)
            origin = {
                "fingerprint": donor.record["fingerprint"],
                "step": donor.step,
                "differences": differences,
            }
            self.console.say(f"weights from {init_from}, step {donor.step}")
            for line in differences:
                self.console.say(f"  starts fresh: {line}")
        self.store.copy_report(self.path)
        data = {
            "digest": self.store.digest(),
            "counts": {name: self.store.counts[name] for name in SPLITS},
            "spec": spec.to_json(),
            "background": [int(value) for value in self.store.background],
        }
        self.conditions.save(self.path)
        workdir.write(self.path, config, data, origin)
        return state

    def _networks(self, whole: Any) -> dict[str, Any]:
        """The networks that the family uses and does not train, on the devices."""
        say = self.console.throttled()
        with self.clock("classifier"):
            found, records = classifier.frozen(self.family, self.config, self.store, say, self.path)
        for name, record in records.items():
            if "accuracy" in record:
                self.console.say(f"{name:<8} names {record['accuracy']:.1%} of held-back pictures")
            before = workdir.read(self.path).get(name)
            if before not in (None, record):
                raise UsageError(
                    f"{self.path} began with another {name} network than the one now found",
                    "give the first one back, or another --workdir",
                )
            workdir.note(self.path, name, record)
        return jax.device_put(found, whole)

    def _introduce(self, resumed: bool) -> None:
        counts, say = self.store.counts, self.console.say
        say(f"run      {self.path}" + (f", continued at step {self.step}" if resumed else ""))
        split = ", ".join(f"{counts[name]} {name}" for name in SPLITS)
        say(f"data     {self.config.data.source}: {describe(self.store.spec)}; {split}")
        numbers = {name: trees.count(net.params) for name, net in self.state.nets.items()}
        sizes = ", ".join(f"{name} {count / 1e6:.2f}M" for name, count in numbers.items())
        devices = f"{self.mesh.size} x {self.mesh.devices.flat[0].device_kind}"
        mode = self.config.parallel.mode
        say(f"model    {self.config.model.name}: {sizes} weights; {mode} on {devices}")

    def _open_feed(self) -> Iterator[Batch]:
        config, mesh = self.config, self.mesh
        seed, size = config.seed, config.train.batch_size
        start = self.step * self.family.real_batches(config)
        if resident.choose_feed(config.data.feed, self.store, mesh) == "resident":
            whole, rows = device_mesh.replicated_sharding(mesh), device_mesh.batch_sharding(mesh)
            return resident.iterate_batches(self.store, seed, size, start, whole, rows)
        from prodgen.data import tfdata  # TensorFlow is loaded only where it feeds

        slots = device_mesh.local_slots(mesh, size)
        host = tfdata.iterate_batches(self.store, seed, size, slots, start)
        return (device_mesh.to_global_arrays(mesh, batch) for batch in host)

    def _compile(self, batches: tuple[Batch, ...]) -> list[Any]:
        """The programs that the steps run in turn, compiled: they cannot compile again."""
        self.console.progress("compiling the step ...")
        turns = self.family.variants(self.config)

        def program(variant: str) -> Any:
            step = compilation.compile_train_step(
                lambda mean: self.family.make_train_step(
                    self.config, self.store.spec, mean, variant
                ),
                self.mesh,
                self.config.parallel.mode,
            )
            return compilation.compile_aot(step, self.state, batches, self.frozen)

        with self.clock("compile"), concurrent.futures.ThreadPoolExecutor() as threads:
            found = {variant: threads.submit(program, variant) for variant in dict.fromkeys(turns)}
            return [found[variant].result() for variant in turns]

    # The loop

    def loop(self) -> None:
        """Steps until the last one, or until a signal asks to stop."""
        take, every = self.family.real_batches(self.config), self.config.train
        last, compiled = every.num_steps, None
        self.clock.start(self.step)
        with _signals(self._ask_to_stop):
            while self.step < last:
                with self.clock("data"):
                    batches = tuple(next(self.feed) for _ in range(take))
                if compiled is None:
                    compiled = self._compile(batches)
                with self.clock("step"):
                    program = compiled[self.step % len(compiled)]
                    self.state, metrics = program(self.state, batches, self.frozen)
                    self._read_pending()
                self.step, self.score = self.step + 1, None
                self.pending = (self.step, metrics)
                self._first_step()
                end = self.step == last
                if end or self.step % every.evaluate_every == 0:
                    self._evaluate()
                if end or self.step % every.sample_every == 0:
                    self._sheet()
                stop = self.stop is not None and not end
                if end or stop or self.step % every.checkpoint_every == 0:
                    self._checkpoint()
                if stop:
                    self._stop()
            self._read_pending()
        self.checkpoints.wait()

    def _first_step(self) -> None:
        if "first step" not in self.clock.total:
            jax.block_until_ready(self.state)
            self.clock.total["first step"] = time.monotonic() - commandline.START_TIME_S
            compiled, first = self.clock.total["compile"], self.clock.total["first step"]
            self.console.say(f"compiled in {compiled:.1f} s, first step after {first:.1f} s")
            self.clock.start(self.step)

    def _read_pending(self) -> None:
        """Log the step before: its numbers are ready, or will be before this step's."""
        if self.pending is None:
            return
        (step, metrics), self.pending = self.pending, None
        bad = int(metrics["skipped_in_a_row"])
        self.last = metrics
        if bad:
            self.console.say(f"step {step} skipped: loss or gradient not finite ({bad} in a row)")
        if step % self.config.train.log_every == 0 or step == self.config.train.num_steps:
            self._log(step, {name: float(value) for name, value in metrics.items()})
        if bad >= self.config.train.max_bad_steps:
            raise Diverged(
                f"{bad} steps in a row, up to {step}, had a loss or gradient not finite",
                "lower config.optim.lr, or look at the pictures the last batches hold",
            )

    def _log(self, step: int, values: dict[str, float]) -> None:
        rates = self.clock.rates(step, self.config.train.batch_size)
        self.writer.metrics(step, values)
        self.writer.timing(step, rates)
        left = (self.config.train.num_steps - step) / max(rates["steps_per_s"], 1e-9)
        losses = "  ".join(f"{name} {values[name]:.4g}" for name in SHOWN if name in values)
        self.console.progress(
            f"step {step:>6}/{self.config.train.num_steps}  {rates['steps_per_s']:.2f} steps/s  "
            f"{rates['images_per_s']:.0f} img/s  {clock.words(left)} left  {losses}"
        )

    def _evaluate(self) -> None:
        self._read_pending()
        with self.clock("evaluate"):
            values = self.judge(self.state, self.frozen)
        if not values:
            return
        score = self.family.score(values)
        self.score = score if np.isfinite(score) else None
        norms = {name: v for name, v in self.last.items() if name.startswith("grad_norm/")}
        values |= {name.replace("/", "_"): float(value) for name, value in norms.items()}
        finite = {f"val/{name}": v for name, v in values.items() if np.isfinite(v)}
        self.writer.metrics(self.step, finite)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.console.say(f"judged {self.step:>4}  {shown}")
        for name, evidence in self.sentinel(self.step, values).items():
            self.console.say(f"WARNING  step {self.step}: {name}: {evidence}")

    def _sheet(self) -> None:
        with self.clock("sheet"):
            folder = self.path / "samples"
            folder.mkdir(exist_ok=True)
            for name, draw in self.sheets.kinds().items():
                content = images.png(draw(self.state))
                write_atomically(folder / f"{name}_{self.step:08d}.png", content)

    def _checkpoint(self) -> None:
        self._read_pending()
        with self.clock("checkpoint"):
            bad = trees.first_bad(self.state)
            if bad is not None:
                raise Diverged(f"step {self.step}: {bad} is not finite; the state was not saved")
            self.checkpoints.save(self.step, self.state, self.score)
        ledger = self.clock.ledger() | device_mesh.device_stats(self.mesh)
        self.writer.timing(self.step, {"session": self.first, **ledger})

    def _stop(self) -> None:
        self.checkpoints.wait()
        raise Stopped(
            f"stopped by {self.stop} at step {self.step} of {self.config.train.num_steps}",
            "give the same command again to continue",
        )

    def _ask_to_stop(self, number: int, frame: Any) -> None:
        """SIGTERM and the first Ctrl-C ask to stop after the step; a second Ctrl-C interrupts."""
        if self.stop is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop = signal.Signals(number).name

    # After the last step

    def finish(self) -> None:
        """Curves and the report of a finished run."""
        plots.curves(self.path)
        html.report(self.path, self.sentinel.words())
        self.console.say(f"done     {self.path / 'report.html'}")

    def close(self) -> None:
        """Close the files; what cannot be flushed any more has been reported already."""
        if self.writer is not None:
            with contextlib.suppress(OSError):
                self.writer.close()
