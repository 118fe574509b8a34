"""--mode=batch: a catalogue's missing pictures, a row of --table a request.

Writes the pictures into a folder, manifest.jsonl with a line a picture, and problems.csv with the
rows that could not be made and why; these do not stop the rest. Killed and started again, it makes
what is missing, and ends with the same bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodgen.apps.common.ledger import Ledger
from prodgen.apps.common.options import FitOptions, PngOptions, RunOptions
from prodgen.apps.common.output import Output, Stamp, say
from prodgen.cli.options import option
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import BadData, ProdgenError, RejectedItem, UsageError
from prodgen.core.files import write_atomically
from prodgen.editing import FIT_STEPS, batch_requests
from prodgen.editing.batch_requests import BatchRequest

if TYPE_CHECKING:
    from prodgen.apps.common.rows import Found, Means
    from prodgen.model import Model

PROBLEMS = "problems.csv"
# Options of which a picture depends, with the defaults that leave no trace in its key.
CHANGING = {"metadata": True, "mark": False, "guard": True, "steps": FIT_STEPS}
SAMPLES, PHOTOS = 640, 20  # pictures, and rows with a photo, between two words of progress
Problem = tuple[int, str]  # line of the table, reason
Put = Callable[["Piece", "Found"], None]
Settle = Callable[[], list[Problem]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions, FitOptions, PngOptions):
    """Of --mode=batch."""

    output = "batch"

    table: str = option("", "A .csv file of requests, a row each.")
    guard: bool = option(True, "Refuse copies of training images.")

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if not self.table:
            raise UsageError("--mode=batch needs --table", "name a .csv file of requests")


@dataclasses.dataclass(frozen=True)
class Piece:
    """One picture of an order: the k-th, in `file`; `entry` begins its line of the manifest."""

    order: BatchRequest
    k: int
    file: str
    entry: dict[str, Any]


def run(model: Model, options: Options, out: Output) -> list[Path]:
    """Make every picture of --table; the files written are named, and those that were there."""
    from prodgen.apps.common import rows

    table = Path(options.table).expanduser()
    wanted, problems = _orders(batch_requests.read_table(table), model, table.parent)
    for order in wanted:
        out.stamp.check(rows.side(order, model), f"line {order.line}: ")
    ledger = Ledger(
        out.locate(options.output), [file for order in wanted for file in order.file_names()]
    )
    pieces = list(_missing(wanted, ledger, _origin(model, options), table.parent))
    say(f"{len(ledger)} pictures are there, {len(pieces)} are to be made")
    means = rows.make_means(model, options, table.parent, [piece.order for piece in pieces])
    with futures.ThreadPoolExecutor(2) as pool:
        put, settle = _writer(means, out.mode, options, ledger, pool)
        _samples(means, [p for p in pieces if not p.order.photo], put)
        problems += _of_photos(means, [p for p in pieces if p.order.photo], put, settle)
        problems += settle()
    written = ledger.close()
    problems += ledger.refused()
    written.append(_report(ledger.folder / PROBLEMS, sorted(problems)))
    if problems:
        say(f"{len(problems)} rows have problems: {written[-1]}; the first: {problems[0][1]}")
    if not len(ledger):
        raise BadData("no picture could be made", f"see {PROBLEMS} for the reasons")
    return written


def _orders(
    table: Sequence[tuple[int, Any]], model: Model, folder: Path
) -> tuple[list[BatchRequest], list[Problem]]:
    """The orders that can be made, and the problems of the other rows."""
    from prodgen.apps.common import rows

    found, problems, names = [], [], set()
    for line, row in table:
        try:
            order = batch_requests.parse_request(line, row, model.conditions, folder)
            if order.name.casefold() in names:
                raise UsageError(f"another row has the name {order.name!r} already")
            rows.check(order, model, folder)
            names.add(order.name.casefold())
            found.append(order)
        except ProdgenError as error:
            said = str(error).replace("--label=", "category ").replace("--attributes", "attributes")
            problems.append((line, said))
    return found, problems


def _origin(model: Model, options: Options) -> str:
    """The run, and those flags, of any row, that change a picture and are not as by default."""
    flags = {name: getattr(options, name) for name in CHANGING}
    changed = [f"{name}={value}" for name, value in flags.items() if value != CHANGING[name]]
    return " ".join([model.run.record["fingerprint"], str(model.run.step), *changed])


def _missing(
    wanted: Sequence[BatchRequest], ledger: Ledger, origin: str, folder: Path
) -> Iterator[Piece]:
    for order in wanted:
        key, inputs = order.key(origin), order.input_hashes(folder)
        entry = {"line": order.line, "key": key, "seed": order.seed}
        entry |= {"inputs": inputs} if inputs else {}
        for k, file in enumerate(order.file_names()):
            if not ledger.has(file, key, inputs):
                yield Piece(order, k, file, entry | {"index": k})


def _samples(means: Means, pieces: Sequence[Piece], put: Put) -> None:
    """Make what needs no photo, of whatever rows together."""
    from prodgen.apps.common import rows

    found = rows.samples(means, [(piece.order, piece.k) for piece in pieces])
    for i, (piece, one) in enumerate(zip(pieces, found, strict=True)):
        if i % SAMPLES == 0:
            say(f"{i} of {len(pieces)} samples")
        put(piece, one)


def _of_photos(means: Means, pieces: Sequence[Piece], put: Put, settle: Settle) -> list[Problem]:
    """Make the rows with a photo, each whole; the missing ones of its pictures are written."""
    from prodgen.apps.common import rows

    problems, groups = [], list(_by_order(pieces))
    for i, (order, own) in enumerate(groups):
        if i % PHOTOS == 0:
            say(f"{i} of {len(groups)} rows with a photo")
        try:
            found = rows.of_photo(means, order)
        except (ProdgenError, RejectedItem) as error:
            problems.append((order.line, str(error)))
            continue
        problems += settle()  # photos are large: those of one row at most wait for the disk
        for piece in own:
            put(piece, found[piece.k])
    return problems


def _by_order(pieces: Sequence[Piece]) -> Iterator[tuple[BatchRequest, list[Piece]]]:
    """The orders of which pieces are missing, with these."""
    for order, own in itertools.groupby(pieces, key=lambda piece: piece.order):
        yield order, list(own)


def _writer(
    means: Means, mode: str, options: Options, ledger: Ledger, pool: futures.Executor
) -> tuple[Put, Settle]:
    """put(piece, found) finishes a picture and writes it in another thread, or the reason why it
    is refused; settle() waits for all and gives the problems of those that could not be."""
    from prodgen.apps.common import rows

    waiting = []

    def write(piece: Piece, found: Found) -> None:
        if isinstance(found, RejectedItem):
            ledger.refuse(piece.file, f"{piece.file}: {found}", piece.entry)
            return
        stamp = Stamp(means.model, mode, options, piece.order.seed)
        shown = rows.finished(found.picture, piece.order, means.folder)
        ledger.put(piece.file, stamp.png(shown, found.source), piece.entry | found.details)

    def put(piece: Piece, found: Found) -> None:
        waiting.append((piece, pool.submit(write, piece, found)))

    def settle() -> list[Problem]:
        problems = []
        for piece, job in waiting:
            try:
                job.result()
            except (ProdgenError, RejectedItem) as error:
                problems.append((piece.order.line, f"{piece.file}: {error}"))
        waiting.clear()
        return problems

    return put, settle


def _report(path: Path, problems: Sequence[Problem]) -> Path:
    """problems.csv: a line a row of the table that could not be made, or not in full."""
    write_atomically(path, format_csv(["line", "problem"], problems))
    return path
