"""--mode=batch: a catalogue's missing pictures, a row of --table a request.

Writes the pictures into a folder, manifest.jsonl with a line a picture, and problems.csv with the
rows that could not be made and why; these do not stop the rest. Killed and started again, it makes
what is missing, and ends with the same bytes. Pictures are computed in batches of one fixed size,
so that a picture does not depend on those beside it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from prodgen import images, provenance, workdir
from prodgen.apps import colours
from prodgen.apps.ledger import Ledger
from prodgen.apps.photos import read_picture
from prodgen.apps.request import Request, describe, say
from prodgen.editing import neighbourhood, orders
from prodgen.editing.guard import Guard
from prodgen.editing.inversion import STEPS, Inverter
from prodgen.editing.orders import Order
from prodgen.errors import BadData, ProdgenError, Refused, UsageError
from prodgen.model import BATCH, Model
from prodgen.photo import backdrop, cutout
from prodgen.types import Batch

PROBLEMS = "problems.csv"
EVERY = 640  # pictures between two words of progress
Put = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class Piece:
    """One picture of an order: the k-th, in `file`."""

    order: Order
    k: int
    file: str


def run(model: Model, request: Request) -> list[Path]:
    """Make every picture of --table; the files written are named, and those that were there."""
    table = Path(request.table).expanduser()
    if not request.table:
        raise UsageError("--mode=batch needs --table", "name a .csv file of requests")
    wanted, problems = _orders(orders.read(table), model, table.parent)
    ledger = Ledger(request.target("batch"), [file for order in wanted for file in order.files()])
    pieces = list(_missing(wanted, ledger, _origin(model)))
    say(f"{len(ledger)} pictures are there, {len(pieces)} are to be made")
    inverter = Inverter(model, say, request.steps or STEPS)
    guard = Guard(inverter) if request.guard else None
    with futures.ThreadPoolExecutor(2) as pool:
        put, settle = _writer(model, request, ledger, pool)
        _samples(model, [p for p in pieces if not p.order.edit], guard, put)
        for order, own in _by_order([p for p in pieces if p.order.edit]):
            try:
                _varied(inverter, order, own, table.parent, guard, put)
            except ProdgenError as error:
                problems.append((order.line, str(error)))
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
    rows: Sequence[tuple[int, Any]], model: Model, folder: Path
) -> tuple[list[Order], list[tuple[int, str]]]:
    """The orders that can be made, and (line, reason) of the other rows."""
    found, problems, names = [], [], set()
    for line, row in rows:
        try:
            order = orders.parsed(line, row, model.conditions, folder)
            if order.name.casefold() in names:
                raise UsageError(f"another row has the name {order.name!r} already")
            names.add(order.name.casefold())
            found.append(order)
        except ProdgenError as error:
            said = str(error).replace("--label=", "category ").replace("--attributes", "attributes")
            problems.append((line, said))
    return found, problems


def _origin(model: Model) -> str:
    return f"{model.run.record['fingerprint']} {model.run.step}"


def _missing(wanted: Sequence[Order], ledger: Ledger, origin: str) -> Iterator[Piece]:
    for order in wanted:
        key = order.key(origin)
        for k, file in enumerate(order.files()):
            if not ledger.has(file, key):
                yield Piece(order, k, file)


def _samples(model: Model, pieces: Sequence[Piece], guard: Guard | None, put: Put) -> None:
    """Make what needs no photo, BATCH pictures at a time, of whatever rows."""
    draw = latents_of(model)
    for start in range(0, len(pieces), BATCH):
        part = pieces[start : start + BATCH]
        asked = _joined([_asked(model, piece) for piece in part])
        z = draw([piece.order.seed for piece in part], [piece.k for piece in part])
        pictures = model.decode(z, asked)
        copies = guard(pictures) if guard else None
        for i, piece in enumerate(part):
            details = {"latent": z[i].tolist()} | describe(asked, model.spec, i)
            put(piece, pictures[i], details, copies.names[i] if copies and copies.copy[i] else "")
        if start % EVERY == 0:
            say(f"{start + len(part)} of {len(pieces)} samples")


def _asked(model: Model, piece: Piece) -> Batch:
    order = piece.order
    wanted = dict(order.attributes)
    return model.conditions.pick(order.seed, np.array([piece.k]), order.category, wanted)


def _joined(rows: Sequence[Batch]) -> Batch:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def latents_of(model: Model) -> Callable[[Sequence[int], Sequence[int]], np.ndarray]:
    """(seeds, indices) -> latents [N, Z], each as Model.latents draws it: one program for all."""
    config, latents = model.config, model.run.family.latents
    drawn = jax.jit(jax.vmap(lambda seed, index: latents(config, seed, index[None])[0]))

    def draw(seeds: Sequence[int], indices: Sequence[int]) -> np.ndarray:
        n = len(seeds)
        filled = [np.pad(np.asarray(x, np.int32), (0, BATCH - n)) for x in (seeds, indices)]
        return np.asarray(drawn(*filled))[:n]

    return draw


def _by_order(pieces: Sequence[Piece]) -> Iterator[tuple[Order, list[Piece]]]:
    """The orders of which pieces are missing, with these."""
    for order, own in itertools.groupby(pieces, key=lambda piece: piece.order):
        yield order, list(own)


def _varied(
    inverter: Inverter, order: Order, pieces: Sequence[Piece], folder: Path, guard: Guard | None,
    put: Put,
) -> None:  # fmt: skip
    """Variations of a photo: all of the order, of which the missing ones are written."""
    model = inverter.model
    photo = read_picture(model, folder / order.photo)[None]
    given = None
    if order.category or order.attributes:
        wanted = dict(order.attributes)
        given = model.conditions.pick(order.seed, np.arange(1), order.category, wanted)
    found = inverter(photo, given)
    refuse = guard.refuse(photo) if guard else None
    varied = neighbourhood.vary(
        inverter, found.z[0], found.conditions, order.count, order.strength, order.keep,
        order.seed, refuse,
    )  # fmt: skip
    for piece in pieces:
        if piece.k >= len(varied.pictures):
            put(piece, photo[0], {}, "all further variations")
            continue
        details = {
            "of": order.photo, "strength": order.strength, "keep": list(order.keep),
            "kept": bool(varied.kept[piece.k]), "latent": varied.z[piece.k].tolist(),
        } | describe(varied.conditions, model.spec, piece.k)  # fmt: skip
        put(piece, varied.pictures[piece.k], details, "")


def _writer(
    model: Model, request: Request, ledger: Ledger, pool: futures.Executor
) -> tuple[Put, Callable]:
    """(put, settle). put(piece, picture, details, copy_of) finishes a picture and writes it in
    another thread; settle() waits for all and gives (line, reason) of those that could not be."""
    origin, waiting = _origin(model), []

    def write(piece: Piece, picture: np.ndarray, details: dict[str, Any], copy_of: str) -> None:
        order = piece.order
        entry = {"line": order.line, "key": order.key(origin), "seed": order.seed, "index": piece.k}
        if copy_of:
            ledger.refuse(piece.file, f"{piece.file}: a copy of training picture {copy_of}", entry)
            return
        shown = finished(picture, order.size, order.background)
        run = model.run.record["fingerprint"]
        made = f"run {run}, step {model.run.step}, seed {order.seed}, mode batch"
        text = provenance.text("generated", made) if request.metadata else None
        marked = images.marked(shown) if request.mark else shown
        ledger.put(piece.file, images.png(marked, text), entry | details)

    def put(piece: Piece, *given: Any) -> None:
        waiting.append((piece, pool.submit(write, piece, *given)))

    def settle() -> list[tuple[int, str]]:
        found = []
        for piece, job in waiting:
            try:
                job.result()
            except (ProdgenError, Refused) as error:
                found.append((piece.order.line, f"{piece.file}: {error}"))
        return found

    return put, settle


def finished(picture: np.ndarray, size: int, background: str) -> np.ndarray:
    """A picture uint8 [R, R, C] on the background and in the size asked for.

    A size enlarges or reduces; it adds no detail, and the gate calls it upscaled.
    """
    if background:
        cut = cutout.cut(picture, cutout.method("plain"))
        ground = colours.parse(background, "background", colours.PAPER)
        picture = backdrop.on(cut.rgba, backdrop.fill(picture.shape[:2], ground))
    if size and size != len(picture):
        small = images.picture(picture)
        picture = np.asarray(small.resize((size, size), Image.Resampling.LANCZOS))
    return picture


def _report(path: Path, problems: Sequence[tuple[int, str]]) -> Path:
    """problems.csv: a line a row of the table that could not be made, or not in full."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["line", "problem"])
    writer.writerows(problems)
    workdir.write_atomically(path, text.getvalue().encode("utf-8-sig"))
    return path
