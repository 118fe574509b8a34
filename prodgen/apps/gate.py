"""--mode=gate: which pictures of a folder pass as a listing's main picture, and why others do not.

Every file becomes a row, those that are no pictures included. One picture is in memory at a time.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import itertools
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from prodgen import images, provenance
from prodgen.apps.gate_sheet import Sheet
from prodgen.apps.model import Model
from prodgen.apps.request import MANIFEST, Output, Request, say
from prodgen.data.folder import SUFFIXES, Entry, Folder
from prodgen.errors import MissingInput, Refused, UsageError
from prodgen.metrics import marketplace
from prodgen.metrics.marketplace import Repair, Verdict

TABLE, SHEET, MENDED = "gate.csv", "gate.png", "mended"
SHOWN = 200  # pictures on the sheet, unless --n asks for others: more, few viewers would open
STEM = 200  # bytes: what is appended must fit into the 255 that file systems give a name
EVERY = 5.0  # seconds between two lines of progress


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of gate.csv.

    file: relative to the folder. repair: what was changed, or why nothing was; empty where none
    was asked for or needed. mended, again: the mended file below the out folder, and its verdict.
    """

    file: str
    verdict: Verdict
    repair: str = ""
    mended: str = ""
    again: Verdict | None = None


def run(model: Model | None, request: Request) -> list[Path]:
    """Write gate.csv, the sheet gate.png and, with --repair, mended pictures; needs no run."""
    if not request.images:
        raise UsageError("--mode=gate needs --images", "name a picture or a folder of them")
    source = Path(request.images).expanduser()
    target = request.target("gate")
    _check(source, target)
    entries = _listed(source, target)
    out = Output(model, request, target)
    out.close()  # the manifest marks the folder as ours, should this end early
    sheet = Sheet(request.n or SHOWN)
    rows = list(_rows(source, entries, request, out, sheet))
    origin = {"images": request.images, "profile": request.profile}
    said = summary(rows, request.profile)
    out.write(TABLE, _table(rows, request.repair), origin)
    out.write(SHEET, images.png(sheet.draw(said)), origin)
    say(said)
    return out.close()


def _check(source: Path, target: Path) -> None:
    """MissingInput without a source; UsageError where writing could replace a user's file."""
    if not source.exists():
        raise MissingInput(
            f"--images={source} does not exist", "name a picture or a folder of pictures"
        )
    advice = "name another folder with --out"
    if target.exists() and not target.is_dir():
        raise UsageError(f"--out={target} is a file, mode gate writes a folder", advice)
    home = (source if source.is_dir() else source.parent).resolve()
    if home == target.resolve():
        raise UsageError(f"{target} holds the pictures that are checked", advice)
    if home.is_relative_to((target / MENDED).resolve()):
        raise UsageError(f"{source} is where the mended pictures go", advice)
    taken = [name for name in (TABLE, SHEET, MENDED) if (target / name).exists()]
    if taken and not (target / MANIFEST).exists():
        raise UsageError(f"{target} holds a {taken[0]} that this mode did not write", advice)


def _listed(source: Path, target: Path) -> list[Entry]:
    """The file, or every visible file below the folder but what this mode has written itself."""
    if not source.is_dir():
        return [Entry(source.name)]
    top, mine = source.resolve(), target.resolve()
    written = {mine / name for name in (TABLE, SHEET, MANIFEST)}
    found = []
    for entry in Folder(source, marketplace.MAX_PIXELS).entries:
        path = top / entry.name
        if path not in written and mine / MENDED not in path.parents:
            found.append(entry)
    if not any(entry.name.lower().endswith(SUFFIXES) for entry in found):
        raise MissingInput(f"--images={source} holds no pictures", "name a folder that holds some")
    return found


def _rows(
    source: Path, entries: Sequence[Entry], request: Request, out: Output, sheet: Sheet
) -> Iterator[Row]:
    """Each file's row; its thumbnail goes onto the sheet, its mended picture to the disk."""
    folder = source if source.is_dir() else source.parent
    files = [_shown(entry.name) for entry in entries]
    last, passed = time.monotonic(), 0
    for i, (entry, file, name) in enumerate(zip(entries, files, mended_names(files), strict=True)):
        verdict, picture = _checked(folder / entry.name, entry, request.profile)
        row = Row(file, verdict)
        if request.repair and not verdict.passes:
            done = "generated" if provenance.is_generated(folder / entry.name) else "mended"
            row = _mended(row, picture, request.profile, out, f"{MENDED}/{name}", done)
        sheet.add(file, picture, verdict.keys)
        yield row
        passed += verdict.passes
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            say(f"{i + 1} of {len(entries)} checked, {passed} pass")


def _shown(name: str) -> str:
    """A file name as text: what is no UTF-8 in it shows as a question mark."""
    return os.fsencode(name).decode("utf-8", "replace")


def mended_names(files: Sequence[str]) -> list[str]:
    """A PNG's relative path for each file, no two alike even where case does not count.

    sub/a.jpg becomes sub/a.png, but where the folder holds another file called a, sub/a.jpg.png.
    """
    paths = [PurePosixPath(file) for file in files]
    namesakes = collections.Counter(str(path.with_suffix("")).casefold() for path in paths)
    taken: set[str] = set()
    found = []
    for path in paths:
        alone = namesakes[str(path.with_suffix("")).casefold()] == 1
        plain = alone or path.suffix.lower() == ".png"
        stem = (path.stem if plain else path.name).encode()[:STEM].decode("utf-8", "ignore")
        stems = itertools.chain([stem], (f"{stem}-{k}" for k in itertools.count(2)))
        names = (str(path.with_name(f"{stem}.png")) for stem in stems)
        found.append(next(name for name in names if name.casefold() not in taken))
        taken.add(found[-1].casefold())
    return found


def _checked(path: Path, entry: Entry, profile: str) -> tuple[Verdict, np.ndarray | None]:
    """The verdict on a file and its picture, uint8 [H, W, 1 | 3 | 4], where there is one."""
    try:
        if entry.refused:
            raise Refused(entry.refused)
        picture = marketplace.read(path)
        return marketplace.check(picture, profile), picture
    except Refused as refused:
        return marketplace.unreadable(refused), None
    except MemoryError:
        return marketplace.unreadable(Refused("too large: not enough memory to measure it")), None


def _mended(
    row: Row, picture: np.ndarray | None, profile: str, out: Output, name: str, done: str
) -> Row:
    """The row of a picture that fails, after mending it; the mended one is written as `name`.

    done: of provenance.SOURCES; what a model made is still that when it is mended.
    """
    if picture is None:
        return dataclasses.replace(row, repair="refused: no readable picture")
    try:
        repair = marketplace.repaired(picture, profile)
        again = marketplace.check(repair.picture, profile) if repair.changes else None
    except MemoryError:
        repair, again = Repair(picture, refused="not enough memory"), None
    if again is None:
        said = f"refused: {repair.refused}" if repair.refused else "nothing that can be mended"
        return dataclasses.replace(row, repair=said)
    details = {
        "file": row.file,
        "profile": profile,
        "changes": repair.changes,
        "passes": again.passes,
    }
    out.png(name, repair.picture, details, done)
    return dataclasses.replace(row, repair="; ".join(repair.changes), mended=name, again=again)


def _table(rows: Sequence[Row], repair: bool) -> bytes:
    """gate.csv: UTF-8 with the mark by which spreadsheets know it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    names = ["file", "verdict", "reasons", *_measures(rows[0].verdict)]
    names += ["repair", "mended", "mended_verdict", "mended_reasons"] if repair else []
    writer.writerow(names)
    for row in rows:
        cells = [_inert(row.file), *_words(row.verdict), *_measures(row.verdict).values()]
        again = _words(row.again) if row.again else ("", "")
        writer.writerow([*cells, row.repair, row.mended, *again] if repair else cells)
    return text.getvalue().encode("utf-8-sig")


def _inert(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in "=+-@" else name


def _words(verdict: Verdict) -> tuple[str, str]:
    return "pass" if verdict.passes else "fail", "; ".join(verdict.reasons)


def _measures(verdict: Verdict) -> dict[str, float | str]:
    """The measures that the profiles look at, by column; empty where there is no value.

    Pixels: width, height, blur, native. Levels: evenness. Shares in [0, 1]: fill, white_share, and
    off_centre, the larger of right and down without its sign.
    """
    names = ("width", "height", "fill", "off_centre", "white_share", "evenness", "blur", "native")
    m = verdict.measures
    if m is None:
        return dict.fromkeys(names, "")
    values = (*m.size[::-1], m.fill, max(map(abs, m.offset)), m.white_share, m.evenness, m.blur,
              m.native)  # fmt: skip
    rounded = ("" if math.isnan(value) else round(value, 4) for value in values)
    return dict(zip(names, rounded, strict=True))


def summary(rows: Sequence[Row], profile: str) -> str:
    """As in "12 of 40 pass white_main; reasons: fill 20, size 8; mended 9, of which 6 pass"."""
    said = [f"{sum(row.verdict.passes for row in rows)} of {len(rows)} pass {profile}"]
    counts = collections.Counter(key for row in rows for key in row.verdict.keys)
    if counts:
        said.append("reasons: " + ", ".join(f"{key} {n}" for key, n in counts.most_common()))
    mended = [row.again.passes for row in rows if row.again]
    if mended:
        said.append(f"mended {len(mended)}, of which {sum(mended)} pass")
    return "; ".join(said)
