"""--mode=gate: which images of a folder pass as a shop's main image, and why others do not.

Every file becomes a row, also those that are no images. One image is in memory at a time.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from prodgen.apps.common import image_files
from prodgen.apps.common.gate_page import GatePage
from prodgen.apps.common.gate_sheet import GateSheet
from prodgen.apps.common.image_files import ImageFile
from prodgen.apps.common.option_groups import MAX_IMAGES, CommonOptions, images_option
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.config import registry
from prodgen.core import pixels, provenance
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import RejectedItem, UsageError
from prodgen.metrics import marketplace, packshot_repair
from prodgen.metrics.marketplace import Verdict
from prodgen.metrics.packshot_repair import Repair

TABLE, SHEET, PAGE, FOLDER = "gate.csv", "gate.png", "gate.html", "mended"
MAX_SHEET_IMAGES = 200  # unless --n gives another number: viewers are slow with larger sheets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Of --mode=gate."""

    output = "gate"

    images: tuple[str, ...] = images_option("image")
    n: int = option(
        MAX_SHEET_IMAGES, "Images on the sheet and on the page, at most.", low=1, high=MAX_IMAGES
    )
    profile: str = option(
        "white_main", "The rules that an image must meet.", choices=registry.PROFILES
    )
    repair: bool = option(False, "Write a repaired copy of each image that can be repaired.")

    def check(self, workdir: Path | None) -> None:
        if not any(self.images):
            raise UsageError("--mode=gate needs --images", "name an image or a folder of images")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of gate.csv.

    file: relative to the folder. repair: what was changed, or why nothing was; empty without
    --repair and where it is not needed. repaired_file, repaired_verdict: of the repaired copy, its
    path in the out folder and its verdict.
    """

    file: str
    verdict: Verdict
    repair: str = ""
    repaired_file: str = ""
    repaired_verdict: Verdict | None = None


def run(model: None, options: Options, out: Output) -> list[Path]:
    """Write gate.csv, gate.png, gate.html and, with --repair, repaired images; needs no run."""
    target = out.locate(options.output)
    files = image_files.list_every_file(options.images, out, target, (TABLE, SHEET, PAGE), FOLDER)
    out.close()  # the manifest marks the folder as ours, should this end early

    sheet, page, rows = GateSheet(options.n), GatePage(options.n), []

    def format_progress(n: int) -> str:
        return f"{n} of {len(files)} checked, {sum(row.verdict.passes for row in rows)} pass"

    for file in image_files.each_file(files, format_progress):
        verdict, image = check_file(file, options.profile)
        row, result = Row(file.name, verdict), None
        if options.repair and not verdict.passes:
            # What a model made stays marked as generated when it is repaired.
            origin = "generated" if provenance.is_generated(file.path) else "mended"
            png = f"{FOLDER}/{file.stem}.png"
            row, result = repair_image(row, image, options.profile, out, png, origin)
        sheet.add_image(file.name, image, list_keys(verdict))
        page.add_image(file.name, verdict, image, result, row.repaired_verdict, row.repair)
        rows.append(row)

    details = {"images": options.images, "profile": options.profile}
    summary = summarise(rows, options.profile)
    out.write(TABLE, format_table(rows, options.repair), details)
    out.write(SHEET, pixels.encode_png(sheet.draw(summary)), details)
    out.write(PAGE, page.build(summary, options.profile, count_verdicts(rows)), details)
    say(summary)
    return out.close()


def check_file(file: ImageFile, profile: str) -> tuple[Verdict, np.ndarray | None]:
    """The verdict on a file and its image, uint8 [H, W, 1 | 3 | 4], where there is one."""
    try:
        file.check()
        image = marketplace.read_image(file.path)
        verdict = marketplace.check(image, profile)
        file_reasons = marketplace.check_file_rules(file.path, profile)
        return dataclasses.replace(verdict, reasons=verdict.reasons + file_reasons), image
    except RejectedItem as refusal:
        return marketplace.unreadable_verdict(refusal), None
    except MemoryError:
        return marketplace.unreadable_verdict(
            RejectedItem("too large: not enough memory to measure it")
        ), None


def list_keys(verdict: Verdict) -> tuple[str, ...]:
    """The keys of a verdict's reasons, and `close_up` before them where it is one."""
    return ("close_up",) * verdict.is_close_up + verdict.keys


def repair_image(
    row: Row, image: np.ndarray | None, profile: str, out: Output, name: str, source: str
) -> tuple[Row, np.ndarray | None]:
    """(the row of an image that fails, completed by its repair; the copy, written as `name`).

    source: of provenance.DIGITAL_SOURCE_TYPES. The copy is a PNG, which all profiles accept.
    """
    if image is None:
        return dataclasses.replace(row, repair="refused: no readable image"), None
    try:
        repair = packshot_repair.repair(image, profile, row.verdict)
        if "format" in row.verdict.keys and not repair.refusal:
            repair = dataclasses.replace(repair, changes=(*repair.changes, "format: to PNG"))
        verdict = marketplace.check(repair.image, profile) if repair.changes else None
    except MemoryError:
        repair, verdict = Repair(image, refusal="not enough memory"), None
    if verdict is None:
        reason = f"refused: {repair.refusal}" if repair.refusal else "nothing that can be mended"
        return dataclasses.replace(row, repair=reason), None
    details = {
        "file": row.file,
        "profile": profile,
        "changes": repair.changes,
        "passes": verdict.passes,
    }
    out.write_png(name, repair.image, details, source)
    file_reasons = marketplace.check_file_rules(out.folder / name, profile)
    verdict = dataclasses.replace(verdict, reasons=verdict.reasons + file_reasons)
    changes = "; ".join(repair.changes)
    row = dataclasses.replace(row, repair=changes, repaired_file=name, repaired_verdict=verdict)
    return row, repair.image


def format_table(rows: Sequence[Row], repair: bool) -> bytes:
    """The content of gate.csv."""
    columns = ["file", "verdict", "reasons", "notes", *measures_of(rows[0].verdict)]
    columns += ["repair", "mended", "mended_verdict", "mended_reasons"] if repair else []
    lines = []
    for row in rows:
        measures = measures_of(row.verdict)
        notes = "; ".join(row.verdict.notes)
        line = [row.file, *verdict_and_reasons(row.verdict), notes, *measures.values()]
        if repair:
            line += [row.repair, row.repaired_file, *verdict_and_reasons(row.repaired_verdict)]
        lines.append(line)
    return format_csv(columns, lines)


def verdict_and_reasons(verdict: Verdict | None) -> tuple[str, str]:
    """Two cells of the table; empty where there is no verdict."""
    if verdict is None:
        return "", ""
    return verdict.name, "; ".join(verdict.reasons)


def measures_of(verdict: Verdict) -> dict[str, float | str]:
    """The measures that the profiles use, by column; empty where there is no value.

    Pixels: width, height, blur, native. Levels: evenness. Shares in [0, 1]: fill, white_share, and
    off_centre, the larger of right and down without its sign.
    """
    names = ("width", "height", "fill", "off_centre", "white_share", "evenness", "blur", "native")
    m = verdict.measures
    if m is None:
        return dict.fromkeys(names, "")
    values = (*m.size[::-1], m.fill, max(map(abs, m.offset)), m.white_share, m.evenness, m.blur,
              m.native)  # fmt: skip
    cells = ("" if math.isnan(value) else round(value, 4) for value in values)
    return dict(zip(names, cells, strict=True))


def summarise(rows: Sequence[Row], profile: str) -> str:
    """As in "12 of 40 pass white_main; 3 close-ups; reasons: fill 20, size 8; mended 9, of which 6
    pass"."""
    parts = [f"{sum(row.verdict.passes for row in rows)} of {len(rows)} pass {profile}"]
    num_close_ups = sum(row.verdict.is_close_up for row in rows)
    if num_close_ups:
        parts.append(f"{num_close_ups} close-up{'s' if num_close_ups > 1 else ''}")
    counts = collections.Counter(key for row in rows for key in row.verdict.keys)
    if counts:
        parts.append("reasons: " + ", ".join(f"{key} {n}" for key, n in counts.most_common()))
    verdicts = [row.repaired_verdict.passes for row in rows if row.repaired_verdict]
    if verdicts:
        parts.append(f"mended {len(verdicts)}, of which {sum(verdicts)} pass")
    num_refusals = sum(row.repair.startswith("refused") for row in rows)
    if num_refusals:
        parts.append(f"repairs refused {num_refusals}, with the reason in {TABLE}")
    return "; ".join(parts)


def count_verdicts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(description, number) of each verdict, for the page."""
    names = collections.Counter(row.verdict.name for row in rows)
    num_mended = sum(bool(row.repaired_verdict and row.repaired_verdict.passes) for row in rows)
    counts = (("pass", names["pass"]), ("pass after the repair", num_mended),
              ("fail as they are", names["fail"]), ("close-ups", names["close_up"]))  # fmt: skip
    return [(text, str(count)) for text, count in counts]
