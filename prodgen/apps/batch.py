"""--mode=batch: a catalogue's missing images, a row of --table a request.

Writes the images into a folder, manifest.jsonl with one line for each image, and problems.csv with
the rows that could not be fulfilled and why; these do not stop the others. An interrupted batch
that is started again computes what is missing, and ends with the same bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodgen.apps.common.batch_progress import MANIFEST_LINES, PROBLEMS, BatchProgress
from prodgen.apps.common.doubt_messages import describe_doubts
from prodgen.apps.common.fitness_check import FitnessOptions, check_fitness, describe_categories
from prodgen.apps.common.option_groups import (
    CutoutOptions,
    FitOptions,
    PngOptions,
    PriorOptions,
    RunDataOptions,
)
from prodgen.apps.common.output import Output, PngEncoder, say
from prodgen.cli.options import option
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import BadData, ProdgenError, RejectedItem, UsageError
from prodgen.core.file_names import casefold_name
from prodgen.core.files import write_atomically
from prodgen.data.image_paths import ImagePaths
from prodgen.editing import FIT_STEPS, batch_requests
from prodgen.editing.batch_requests import BatchRequest
from prodgen.photo import background_removal

if TYPE_CHECKING:
    from prodgen.apps.common.batch_rows import BatchResult, Context
    from prodgen.evaluation.fitness import Fitness
    from prodgen.model import Model

# Options that change an image -> the default, which is left out of the image's key.
DEFAULTS_OF_KEY = {"metadata": True, "mark": False, "guard": True, "steps": FIT_STEPS}
PROGRESS_SAMPLES, PROGRESS_PHOTOS = 640, 20  # images, and photos, between two lines of progress
DEFAULTS_OF_CUTOUT = {"cutout": "auto", "model": False}  # of rows that cut a product out
GENERATED_EDITS = {"": "batch", "vary": "vary", "views": "views"}  # -> the use of the run
MAX_LINES = 8  # of the table, that a caution lists
Problem = tuple[int, str]  # line of the table, reason


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, CutoutOptions, FitOptions, PngOptions, PriorOptions, FitnessOptions):
    """Of --mode=batch."""

    output = "batch"

    table: str = option("", "A .csv file of requests, a row each.")
    guard: bool = option(True, "Refuse copies of training images.")

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if not self.table:
            raise UsageError("--mode=batch needs --table", "name a .csv file of requests")


@dataclasses.dataclass(frozen=True)
class PendingImage:
    """One image of a request: the k-th, in `file`; `entry` begins its line of the manifest."""

    request: BatchRequest
    k: int
    file: str
    entry: dict[str, Any]


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Write every image of --table; the paths of all, those of earlier commands included."""
    from prodgen.apps.common import batch_rows
    from prodgen.apps.common.batch_rows import Context
    from prodgen.editing.guard import open_guard

    table = Path(os.path.expanduser(options.table))
    segmenter = background_removal.load_segmenter(options.cutout, options.model)
    requests, problems = read_requests(table, model)
    for request in requests:
        side = batch_rows.min_side(request, model)
        out.png_encoder.check_mark(side, f"line {request.line}: ")

    measure, side = lambda: model.measure_fitness(say), model.spec.resolution
    doubts = check_uses(requests, measure, side, options.strict)

    # The images that are missing, or whose row, photo, run or options have changed.
    files = [file for request in requests for file in request.file_names()]
    progress = BatchProgress(out.locate(options.output), files)
    pending_images = list(list_missing(requests, progress, model, options, table.parent, doubts))
    say(f"{len(progress)} images are there, {len(pending_images)} are to be made")

    # Only what these images need is built.
    needs_guard = options.guard and any(pending.request.needs_guard for pending in pending_images)
    needs_inverter = any(pending.request.needs_inversion for pending in pending_images)
    inverter = model.open_inverter(say, options.steps) if needs_inverter else None
    image_guard = open_guard(model) if needs_guard else None
    context = Context(model, table.parent, segmenter, inverter, image_guard)
    with futures.ThreadPoolExecutor(2) as pool:
        writer = ImageWriter(context, out.mode, options, progress, pool)
        write_samples(context, [p for p in pending_images if not p.request.photo], writer)
        problems += write_edits(context, [p for p in pending_images if p.request.photo], writer)
        problems += writer.wait()
    writer.report_doubts()

    paths = progress.close()
    problems += progress.refusals()
    paths.append(progress.folder / PROBLEMS)
    write_atomically(paths[-1], format_csv(["line", "problem"], sorted(problems)))
    if problems:
        say(f"{len(problems)} rows have problems: {paths[-1]}; the first: {problems[0][1]}")
    if not len(progress):
        raise BadData("no image could be made", f"see {PROBLEMS} for the reasons")
    return paths


def read_requests(table: Path, model: Model) -> tuple[list[BatchRequest], list[Problem]]:
    """The requests that can be fulfilled, and the problems of the other rows."""
    from prodgen.apps.common import batch_rows

    request_table = batch_requests.read_requests(table, model.conditions.spec.classes)
    for note in request_table.notes:
        say(f"the table: {note}")
    requests, problems, names = [], list(request_table.problems), set()
    paths = ImagePaths(table.parent)
    paths.declare(path for _, row in request_table.rows for path in batch_requests.list_files(row))
    for line, row in request_table.rows:
        try:
            request = batch_requests.parse_request(line, row, model.conditions, paths)
            if casefold_name(request.name) in names:
                raise UsageError(f"another row has the name {request.name!r} already")
            batch_rows.check_request(request, model, table.parent)
            names.add(casefold_name(request.name))
            requests.append(request)
        except ProdgenError as error:
            problems.append((line, str(error)))
    for sentence in batch_requests.describe_cautions(requests, model.conditions):
        say(f"caution: {sentence}")
    return requests, problems


def check_uses(
    requests: Sequence[BatchRequest], measure: Callable[[], Fitness], side: int, strict: bool
) -> dict[str, str]:
    """What the run is not fit for, by the edit of a row; cautions about it, and about categories.

    measure: `Model.measure_fitness`; side: of the run's images in pixels. UsageError where it is
    unfit for a row and `strict` is set.
    """
    edits = sorted({request.edit for request in requests if request.edit in GENERATED_EDITS})
    doubts = {edit: check_fitness(measure, GENERATED_EDITS[edit], strict) for edit in edits}
    names = {request.category for request in requests if request.edit == "" and request.category}
    for sentence in describe_categories(measure, names) if names else ():
        say(f"caution: {sentence}")
    sizes = {request.line: request.size for request in requests if is_enlarged(request, side)}
    if sizes:
        lines = ", ".join(map(str, list(sizes)[:MAX_LINES])) + ", ..." * (len(sizes) > MAX_LINES)
        say(
            f"caution: line {lines}: images of {side} px are enlarged to {max(sizes.values()):,} "
            "px, which adds no detail: a shop sees a blurred image"
        )
    return {edit: doubt for edit, doubt in doubts.items() if doubt}


def is_enlarged(request: BatchRequest, side: int) -> bool:
    """Whether its images come from the run, at `side` pixels, and are enlarged."""
    return request.edit in GENERATED_EDITS and request.size > side


def describe_origin(model: Model, options: Options, needs_cutout: bool) -> str:
    """The run, and the options that change an image of a row and differ from their default.

    needs_cutout: whether those of the cut-out change it.
    """
    defaults = DEFAULTS_OF_KEY | (DEFAULTS_OF_CUTOUT if needs_cutout else {})
    flags = {name: getattr(options, name) for name in defaults}
    # Only one model file is accepted: where it is, changes nothing.
    flags |= {"model": bool(options.model)} if needs_cutout else {}
    changes = [f"{name}={value}" for name, value in flags.items() if value != defaults[name]]
    changes += [f"prior={model.prior.digest}"] if model.prior else []
    return " ".join([model.run.record["fingerprint"], str(model.run.step), *changes])


def list_missing(
    requests: Sequence[BatchRequest],
    progress: BatchProgress,
    model: Model,
    options: Options,
    folder: Path,
    doubts: Mapping[str, str],
) -> Iterator[PendingImage]:
    """The images that are not done, with the first fields of their lines.

    doubts: what the run is not fit for, by the edit of a row.
    """
    for request in requests:
        key = request.key(describe_origin(model, options, request.needs_cutout))
        inputs = request.input_hashes(folder)
        entry = {"line": request.line, "key": key, "seed": request.seed}
        entry |= {"inputs": inputs} if inputs else {}
        entry |= {"fitness": doubts[request.edit]} if request.edit in doubts else {}
        for k, file in enumerate(request.file_names()):
            if not progress.is_done(file, key, inputs):
                yield PendingImage(request, k, file, entry | {"index": k})


def write_samples(
    context: Context, pending_images: Sequence[PendingImage], writer: ImageWriter
) -> None:
    """Compute the images without a photo, those of several rows together."""
    from prodgen.apps.common import batch_rows

    requests, indices = (
        [pending.request for pending in pending_images],
        [pending.k for pending in pending_images],
    )
    results = batch_rows.draw_samples(context, requests, indices)
    for i, (pending, result) in enumerate(zip(pending_images, results, strict=True)):
        if i % PROGRESS_SAMPLES == 0:
            say(f"{i} of {len(pending_images)} samples")
        writer.submit(pending, result)


def write_edits(
    context: Context, pending_images: Sequence[PendingImage], writer: ImageWriter
) -> list[Problem]:
    """Compute all images of each row with a photo, and write those of them that are missing."""
    from prodgen.apps.common import batch_rows

    problems: list[Problem] = []
    groups = [
        (request, list(group))
        for request, group in itertools.groupby(pending_images, key=lambda pending: pending.request)
    ]
    for i, (request, group) in enumerate(groups):
        if i % PROGRESS_PHOTOS == 0:
            say(f"{i} of {len(groups)} rows with a photo")
        try:
            results = batch_rows.edit_photo(context, request)
        except (ProdgenError, RejectedItem) as error:
            problems.append((request.line, str(error)))
            continue
        problems += writer.wait()  # photos are large: at most those of one row wait in memory
        for pending in group:
            writer.submit(pending, results[pending.k])
    return problems


class ImageWriter:
    """Finishes, encodes and writes images in the threads of a pool."""

    def __init__(
        self,
        context: Context,
        mode: str,
        options: Options,
        progress: BatchProgress,
        pool: futures.Executor,
    ):
        self._context, self._mode, self._options = context, mode, options
        self._progress, self._pool = progress, pool
        self._jobs: list[tuple[PendingImage, futures.Future]] = []
        self._reported_lines: set[int] = set()

    def submit(self, pending: PendingImage, result: BatchResult) -> None:
        """Write an image, or the reason why it is refused, in another thread."""
        self._jobs.append((pending, self._pool.submit(self._write, pending, result)))

    def wait(self) -> list[Problem]:
        """Wait for all images; the problems of those that could not be written."""
        problems = []
        for pending, job in self._jobs:
            line = pending.request.line
            try:
                doubts = job.result()
            except (ProdgenError, RejectedItem) as error:
                problems.append((line, f"{pending.file}: {error}"))
                continue
            # One message a row: its samples may be many.
            if doubts and line not in self._reported_lines:
                self._reported_lines.add(line)
                for sentence in doubts:
                    say(f"line {line}: {sentence}")
        self._jobs.clear()
        return problems

    def report_doubts(self) -> None:
        """Print which rows are doubtful, those of earlier commands included."""
        numbers = self._progress.doubtful_lines()
        if numbers:
            rows = "1 row is" if len(numbers) == 1 else f"{len(numbers)} rows are"
            lines = f"line{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
            say(f"{rows} doubtful: {lines}; the reasons: {MANIFEST_LINES}")

    def _write(self, pending: PendingImage, result: BatchResult) -> list[str]:
        """Write one image; the doubts about it, a sentence each."""
        from prodgen.apps.common import batch_rows

        if isinstance(result, RejectedItem):
            self._progress.record_refusal(pending.file, f"{pending.file}: {result}", pending.entry)
            return []
        request, context = pending.request, self._context
        image, doubts = batch_rows.finish_image(
            result.image, request, context.folder, context.segmenter
        )
        encoder = PngEncoder(context.model, self._mode, self._options, request.seed)
        content = encoder.encode_png(image, result.source)
        entry, side = pending.entry | result.details | doubts, context.model.spec.resolution
        entry |= {"enlarged_from": side} if is_enlarged(request, side) else {}
        self._progress.write_image(pending.file, content, entry)
        return describe_doubts(entry)
