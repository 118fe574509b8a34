"""--mode=gate: which pictures of a folder pass as a listing's main picture, and why others do not.

Every file becomes a row, those that are no pictures included. One picture is in memory at a time.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from prodgen.apps.common import listing
from prodgen.apps.common.gate_sheet import Sheet
from prodgen.apps.common.options import MAX_IMAGES
from prodgen.apps.common.options import Options as CommonOptions
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.config import registry
from prodgen.core import pixels, provenance
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import RejectedItem, UsageError
from prodgen.data.folder import Entry
from prodgen.metrics import marketplace
from prodgen.metrics.marketplace import Repair, Verdict

TABLE, SHEET, MENDED = "gate.csv", "gate.png", "mended"
SHOWN = 200  # pictures on the sheet, unless --n asks for others: more, few viewers would open
EVERY = 5.0  # seconds between two lines of progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Of --mode=gate."""

    output = "gate"

    images: str = option("", "A folder of images, or one image.")
    n: int = option(SHOWN, "Images on the sheet, at most.", low=1, high=MAX_IMAGES)
    profile: str = option(
        "white_main", "The rules that an image must meet.", choices=registry.PROFILES
    )
    repair: bool = option(False, "Write a repaired copy of each image that can be repaired.")

    def check(self, workdir: Path | None) -> None:
        if not self.images:
            raise UsageError("--mode=gate needs --images", "name a picture or a folder of them")


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


def run(model: None, options: Options, out: Output) -> list[Path]:
    """Write gate.csv, the sheet gate.png and, with --repair, mended pictures; needs no run."""
    source, target = Path(options.images).expanduser(), out.locate(options.output)
    listing.check(source, target, (TABLE, SHEET), MENDED)
    entries = listing.listed(source, target, (TABLE, SHEET), MENDED)
    out.close()  # the manifest marks the folder as ours, should this end early
    sheet = Sheet(options.n)
    rows = list(_rows(source, entries, options, out, sheet))
    origin = {"images": options.images, "profile": options.profile}
    said = summary(rows, options.profile)
    out.write(TABLE, _table(rows, options.repair), origin)
    out.write(SHEET, pixels.encode_png(sheet.draw(said)), origin)
    say(said)
    return out.close()


def _rows(
    source: Path, entries: Sequence[Entry], options: Options, out: Output, sheet: Sheet
) -> Iterator[Row]:
    """Each file's row; its thumbnail goes onto the sheet, its mended picture to the disk."""
    folder = source if source.is_dir() else source.parent
    files = [listing.shown(entry.name) for entry in entries]
    last, passed = time.monotonic(), 0
    for i, (entry, file, name) in enumerate(
        zip(entries, files, listing.png_names(files), strict=True)
    ):
        verdict, picture = _checked(folder / entry.name, entry, options.profile)
        row = Row(file, verdict)
        if options.repair and not verdict.passes:
            done = "generated" if provenance.is_generated(folder / entry.name) else "mended"
            row = _mended(row, picture, options.profile, out, f"{MENDED}/{name}", done)
        sheet.add(file, picture, verdict.keys)
        yield row
        passed += verdict.passes
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            say(f"{i + 1} of {len(entries)} checked, {passed} pass")


def _checked(path: Path, entry: Entry, profile: str) -> tuple[Verdict, np.ndarray | None]:
    """The verdict on a file and its picture, uint8 [H, W, 1 | 3 | 4], where there is one."""
    try:
        if entry.refusal:
            raise RejectedItem(entry.refusal)
        picture = marketplace.read_image(path)
        return marketplace.check(picture, profile), picture
    except RejectedItem as refused:
        return marketplace.unreadable_verdict(refused), None
    except MemoryError:
        return marketplace.unreadable_verdict(
            RejectedItem("too large: not enough memory to measure it")
        ), None


def _mended(
    row: Row, picture: np.ndarray | None, profile: str, out: Output, name: str, done: str
) -> Row:
    """The row of a picture that fails, after mending it; the mended one is written as `name`.

    done: of provenance.DIGITAL_SOURCE_TYPES; what a model made is still that when it is mended.
    """
    if picture is None:
        return dataclasses.replace(row, repair="refused: no readable picture")
    try:
        repair = marketplace.repair(picture, profile)
        again = marketplace.check(repair.image, profile) if repair.changes else None
    except MemoryError:
        repair, again = Repair(picture, refusal="not enough memory"), None
    if again is None:
        said = f"refused: {repair.refusal}" if repair.refusal else "nothing that can be mended"
        return dataclasses.replace(row, repair=said)
    details = {
        "file": row.file,
        "profile": profile,
        "changes": repair.changes,
        "passes": again.passes,
    }
    out.png(name, repair.image, details, done)
    return dataclasses.replace(row, repair="; ".join(repair.changes), mended=name, again=again)


def _table(rows: Sequence[Row], repair: bool) -> bytes:
    """The content of gate.csv."""
    names = ["file", "verdict", "reasons", *_measures(rows[0].verdict)]
    names += ["repair", "mended", "mended_verdict", "mended_reasons"] if repair else []
    lines = []
    for row in rows:
        cells = [listing.inert(row.file), *_words(row.verdict), *_measures(row.verdict).values()]
        again = _words(row.again) if row.again else ("", "")
        lines.append([*cells, row.repair, row.mended, *again] if repair else cells)
    return format_csv(names, lines)


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
