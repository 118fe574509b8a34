"""--mode=cutout: the products of a folder of photos, each alone, at the photo's own resolution.

Every file becomes a row, also those that are no images. One image is in memory at a time.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prodgen.apps.common import image_files, named_colours
from prodgen.apps.common.cutout_sheet import CutoutSheet
from prodgen.apps.common.image_files import ImageFile
from prodgen.apps.common.named_colours import Rgb
from prodgen.apps.common.option_groups import MAX_IMAGES, CutoutOptions, images_option
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.core import decode, pixels
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import BadData, RejectedItem, UsageError
from prodgen.photo import background_removal
from prodgen.photo.background_removal import Cutout
from prodgen.photo.mask_estimate import Segmenter

TABLE, SHEET, FOLDER = "cutout.csv", "cutout.png", "cut"
MAX_SHEET_PHOTOS = 60  # unless --n gives another number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(CutoutOptions):
    """Of --mode=cutout."""

    output = "cutout"

    images: tuple[str, ...] = images_option("photo")
    n: int = option(MAX_SHEET_PHOTOS, "Photos on the sheet, at most.", low=1, high=MAX_IMAGES)
    background: str = option("", "transparent, a colour's name or #rrggbb; default: transparent.")

    def check(self, workdir: Path | None) -> None:
        if not any(self.images):
            raise UsageError("--mode=cutout needs --images", "name an image or a folder of images")
        parse_background(self.background)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of cutout.csv.

    path: of the cut-out's PNG in the out folder, "" where there is none; reason: why there is none;
    findings: doubts and notes in words; doubts, notes: their keys; box: (left, top, right, bottom)
    in pixels of the photo; coverage: the product's share of it.
    """

    file: str
    path: str = ""
    reason: str = ""
    findings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    box: tuple[int, int, int, int] | None = None
    coverage: float | None = None

    @property
    def verdict(self) -> str:
        """skipped: nothing was written; doubtful: a person must check it; or clean."""
        return "skipped" if self.reason else "doubtful" if self.doubts else "clean"


def run(model: None, options: Options, out: Output) -> list[Path]:
    """Write a PNG of each photo, cutout.csv and the sheet cutout.png; needs no run."""
    background = parse_background(options.background)
    segmenter = background_removal.load_segmenter(options.cutout, options.model)
    target = out.locate(options.output)
    files = image_files.list_every_file(options.images, out, target, (TABLE, SHEET), FOLDER)
    out.close()  # the manifest marks the folder as ours, should this end early

    sheet, rows = CutoutSheet(options.n), []

    def format_progress(n: int) -> str:
        return f"{n} of {len(files)} read, {sum(not row.reason for row in rows)} cut out"

    for file in image_files.each_file(files, format_progress):
        photo, result = cut_out_file(file, segmenter)
        if isinstance(result, RejectedItem):
            row = Row(file.name, reason=str(result))
            sheet.add_photo(file.name, photo, None, (row.reason.partition(":")[0],))
        else:
            row = describe_cutout(file.name, f"{FOLDER}/{file.stem}.png", result)
            image = result.rgba if background is None else result.flatten(background)
            details = {"file": file.name, "findings": row.findings, "background": background}
            out.write(row.path, pixels.encode_png(image), details)
            sheet.add_photo(file.name, photo, result.rgba, row.doubts)
        rows.append(row)

    origin = {"images": options.images, "cutout": options.cutout, "background": options.background}
    summary = summarise(rows)
    out.write(TABLE, format_table(rows), origin)
    out.write(SHEET, pixels.encode_png(sheet.draw(summary)), origin)
    say(summary)
    paths = out.close()
    if all(row.reason for row in rows):
        sources = ",".join(options.images)
        raise BadData(f"no image of --images={sources} could be cut out: {summary}", f"see {TABLE}")
    return paths


def parse_background(text: str) -> Rgb | None:
    """The levels that --background names, None for transparent; UsageError for no colour."""
    if text in ("", "transparent"):
        return None
    return named_colours.parse_colour(text, "--background", named_colours.BACKGROUND_COLOURS)


def cut_out_file(
    file: ImageFile, segmenter: Segmenter
) -> tuple[np.ndarray | None, Cutout | RejectedItem]:
    """The image in a file, uint8 [H, W, C], if there is one; its cut-out, or why there is none."""
    image = None
    try:
        file.check()
        image = decode.decode_file(file.path, image_files.MAX_PIXELS, single_frame=True)
        return image, background_removal.cut_out(image, segmenter)
    except RejectedItem as refusal:
        return image, refusal
    except MemoryError:
        return None, RejectedItem("too large: not enough memory to cut it out")


def describe_cutout(file: str, path: str, result: Cutout) -> Row:
    """The row of a photo that was cut out."""
    height, width = result.alpha.shape
    top, left, bottom, right = result.quality.box
    box = round(left * width), round(top * height), round(right * width), round(bottom * height)
    return Row(
        file,
        path,
        findings=tuple(map(str, result.quality.findings)),
        doubts=tuple(finding.key for finding in result.quality.doubts),
        notes=tuple(finding.key for finding in result.quality.findings if finding.is_note),
        size=(width, height),
        box=box,
        coverage=round(float(result.alpha.mean()) / 255, 4),
    )


def format_table(rows: Sequence[Row]) -> bytes:
    """The content of cutout.csv."""
    columns = ("file", "verdict", "findings", "width", "height", "left", "top", "right", "bottom",
               "coverage", "written")  # fmt: skip
    lines = []
    for row in rows:
        findings = row.reason or "; ".join(row.findings)
        size, box = row.size or ("", ""), row.box or ("", "", "", "")
        coverage = "" if row.coverage is None else row.coverage
        lines.append([row.file, row.verdict, findings, *size, *box, coverage, row.path])
    return format_csv(columns, lines)


def summarise(rows: Sequence[Row]) -> str:
    """As in "38 of 40 cut out, 3 of them doubtful: unsure 3; skipped: broken 2"."""
    verdicts = collections.Counter(row.verdict for row in rows)
    summary = f"{len(rows) - verdicts['skipped']} of {len(rows)} cut out"
    keys = collections.Counter(key for row in rows for key in row.doubts)
    if keys:
        summary += f", {verdicts['doubtful']} of them doubtful: {format_counts(keys)}"
    notes = collections.Counter(key for row in rows for key in row.notes)
    summary += f"; noted: {format_counts(notes)}" if notes else ""
    reasons = collections.Counter(row.reason.partition(":")[0] for row in rows if row.reason)
    return summary + (f"; skipped: {format_counts(reasons)}" if reasons else "")


def format_counts(counts: collections.Counter) -> str:
    return ", ".join(f"{key} {n}" for key, n in counts.most_common())
