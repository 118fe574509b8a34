"""--mode=cutout: the products of a folder of photos, each alone, at the photo's own resolution.

Every file becomes a row, those that are no pictures included. One picture is in memory at a time.
"""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from prodgen.apps.common import colours, listing
from prodgen.apps.common.colours import Rgb
from prodgen.apps.common.cutout_sheet import Sheet
from prodgen.apps.common.options import MAX_IMAGES, CutoutOptions
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.core import decode, pixels
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import BadData, RejectedItem, UsageError
from prodgen.data.folder import Entry
from prodgen.photo import background_removal
from prodgen.photo.background_removal import Cutout
from prodgen.photo.mask_estimate import Segmenter

TABLE, SHEET, CUT = "cutout.csv", "cutout.png", "cut"
SHOWN = 60  # pictures on the sheet, unless --n asks for others
EVERY = 5.0  # seconds between two lines of progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(CutoutOptions):
    """Of --mode=cutout."""

    output = "cutout"

    images: str = option("", "A folder of photos, or one photo.")
    n: int = option(SHOWN, "Photos on the sheet, at most.", low=1, high=MAX_IMAGES)
    background: str = option("", "transparent, a colour's name or #rrggbb; default: transparent.")

    def check(self, workdir: Path | None) -> None:
        if not self.images:
            raise UsageError("--mode=cutout needs --images", "name a picture or a folder of them")
        background(self.background)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of cutout.csv: the file, its cut-out's name or why there is none, and the findings.

    box: (left, top, right, bottom) in pixels of the photo, as image programs give it.
    """

    file: str
    written: str = ""
    refused: str = ""
    findings: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    box: tuple[int, int, int, int] | None = None
    coverage: float | None = None

    @property
    def verdict(self) -> str:
        """skipped: nothing was written; doubtful: look before you use it; or clean."""
        return "skipped" if self.refused else "doubtful" if self.findings else "clean"


def run(model: None, options: Options, out: Output) -> list[Path]:
    """Write a PNG a photo, cutout.csv and the sheet cutout.png; needs no run."""
    ground = background(options.background)
    cutter = background_removal.load_segmenter(options.cutout, options.model)
    source, target = Path(options.images).expanduser(), out.locate(options.output)
    listing.check(source, target, (TABLE, SHEET), CUT)
    entries = listing.listed(source, target, (TABLE, SHEET), CUT)
    out.close()  # the manifest marks the folder as ours, should this end early
    sheet = Sheet(options.n)
    rows = list(_rows(source, entries, cutter, ground, out, sheet))
    origin = {"images": options.images, "cutout": options.cutout, "background": options.background}
    said = summary(rows)
    out.write(TABLE, _table(rows), origin)
    out.write(SHEET, pixels.encode_png(sheet.draw(said)), origin)
    say(said)
    written = out.close()
    if all(row.refused for row in rows):
        raise BadData(f"no picture of --images={source} could be cut out: {said}", f"see {TABLE}")
    return written


def background(text: str) -> Rgb | None:
    """The levels that --background names, None for transparent; UsageError for no colour."""
    if text in ("", "transparent"):
        return None
    return colours.parse(text, "--background", colours.PAPER)


def _rows(
    source: Path, entries: Sequence[Entry], cutter: Segmenter, ground: Rgb | None, out: Output,
    sheet: Sheet,
) -> Iterator[Row]:  # fmt: skip
    """Each file's row; its thumbnails go onto the sheet, its cut-out to the disk."""
    folder = source if source.is_dir() else source.parent
    files = [listing.shown(entry.name) for entry in entries]
    last, done = time.monotonic(), 0
    for i, (entry, file, name) in enumerate(zip(entries, files, listing.png_names(files),
                                                strict=True)):  # fmt: skip
        picture, cut = _cut(folder / entry.name, entry, cutter)
        if isinstance(cut, RejectedItem):
            row = Row(file, refused=str(cut))
            sheet.add(file, picture, None, (row.refused.partition(":")[0],))
        else:
            row = _row(file, f"{CUT}/{name}", cut)
            content = cut.rgba if ground is None else cut.flatten(ground)
            details = {"file": file, "findings": row.findings, "background": ground}
            out.write(row.written, pixels.encode_png(content), details)
            sheet.add(file, picture, cut.rgba, row.keys)
            done += 1
        yield row
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            say(f"{i + 1} of {len(entries)} looked at, {done} cut out")


def _cut(
    path: Path, entry: Entry, cutter: Segmenter
) -> tuple[np.ndarray | None, Cutout | RejectedItem]:
    """The picture in a file, uint8 [H, W, C], if there is one, and its cut-out or why not."""
    picture = None
    try:
        if entry.refusal:
            raise RejectedItem(entry.refusal)
        picture = decode.decode_file(path, listing.MAX_PIXELS, single_frame=True)
        return picture, background_removal.cut_out(picture, cutter)
    except RejectedItem as refused:
        return picture, refused
    except MemoryError:
        return None, RejectedItem("too large: not enough memory to cut it out")


def _row(file: str, name: str, cut: Cutout) -> Row:
    height, width = cut.alpha.shape
    top, left, bottom, right = cut.quality.box
    return Row(
        file,
        name,
        findings=tuple(map(str, cut.quality.findings)),
        keys=cut.quality.keys,
        size=(width, height),
        box=(round(left * width), round(top * height), round(right * width),
             round(bottom * height)),
        coverage=round(float(cut.alpha.mean()) / 255, 4),
    )  # fmt: skip


def _table(rows: Sequence[Row]) -> bytes:
    """The content of cutout.csv."""
    columns = ("file", "verdict", "findings", "width", "height", "left", "top", "right", "bottom",
               "coverage", "written")  # fmt: skip
    lines = []
    for row in rows:
        said = row.refused or "; ".join(row.findings)
        size, box = row.size or ("", ""), row.box or ("", "", "", "")
        share = "" if row.coverage is None else row.coverage
        lines.append([listing.inert(row.file), row.verdict, said, *size, *box, share, row.written])
    return format_csv(columns, lines)


def summary(rows: Sequence[Row]) -> str:
    """As in "38 of 40 cut out, 3 of them doubtful: unsure 3; skipped: broken 2"."""
    counts = collections.Counter(row.verdict for row in rows)
    said = f"{len(rows) - counts['skipped']} of {len(rows)} cut out"
    keys = collections.Counter(key for row in rows for key in row.keys)
    if keys:
        said += f", {counts['doubtful']} of them doubtful: {_counted(keys)}"
    kinds = collections.Counter(row.refused.partition(":")[0] for row in rows if row.refused)
    return said + (f"; skipped: {_counted(kinds)}" if kinds else "")


def _counted(counts: collections.Counter) -> str:
    return ", ".join(f"{key} {n}" for key, n in counts.most_common())
