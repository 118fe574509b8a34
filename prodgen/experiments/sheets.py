"""Sheets of one fixed latent grid a cell, side by side.

`evaluation/sample_sheets.py` draws samples/step_STEP.png of a run from latents that depend on the
config's seed only. The sheets of one training seed therefore show the same latents in every cell
whose latents have one size.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from prodgen.experiments.results import Observation
from prodgen.experiments.study import Cell
from prodgen.report.html_page import embed_bytes

MAX_SHEETS_BYTES = 2_000_000  # of all sheets of a page
MAX_SHEET_WIDTH = 480  # pixels
MAX_SHEET_RATIO = 1.25  # height to width; rows below are cut off
JPEG_QUALITIES = (88, 75, 60)


def build_sheets(
    cells: Sequence[Cell], observations: Sequence[Observation], folder: Path
) -> list[str]:
    """The section of sheets: the last one of each cell's lowest seed, as HTML.

    A seed for which every cell has a sheet comes first. Cells without any are named.
    """
    sheets = _find_sheets(observations, folder)
    title = "<h2>Samples of one fixed latent grid</h2>"
    if not sheets:
        text = "The folders of the runs are not here, so there are no samples to show."
        return [f"{title}<p class=sub>{text}</p>"]
    common = set.intersection(*({seed for seed in seeds} for seeds in sheets.values()))
    max_bytes = MAX_SHEETS_BYTES // len(sheets)
    # Cells that differ in their evaluation alone have one training, and so one sheet.
    names_by_sheet: dict[tuple[int, Path], list[str]] = {}
    for cell in cells:
        if cell.index in sheets:
            seed = min(common or sheets[cell.index])
            names_by_sheet.setdefault((seed, sheets[cell.index][seed]), []).append(cell.name)
    figures = []
    for (seed, path), names in names_by_sheet.items():
        name = html.escape(" and ".join(names))
        step = path.stem.removeprefix("step_").lstrip("0") or "0"
        caption = f"{name}; seed {seed}, step {html.escape(step)}"
        image = embed_bytes(compress_sheet(path, max_bytes), f"samples of {name}", "image/jpeg")
        figures.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
    note = (
        "The last sheet of the lowest training seed that every cell has. Latents depend on the "
        "seed only, so sheets of one latent size show the same latents. Sheets are drawn in "
        "training, whatever the evaluation is."
        if common
        else "No training seed has a sheet in every cell, so the latents differ between cells."
    )
    parts = [f"{title}<p class=sub>{note}</p><div class=sheets>{''.join(figures)}</div>"]
    absent = [cell.name for cell in cells if cell.index not in sheets]
    if absent:
        parts.append(f"<p class=note>No sheets of: {html.escape('; '.join(absent))}.</p>")
    return parts


def compress_sheet(path: Path, max_bytes: int) -> bytes:
    """A sheet as JPEG of about `max_bytes` at most, cut to its upper rows and made smaller."""
    with Image.open(path) as image:
        sheet = image.convert("RGB")
    sheet = sheet.crop((0, 0, sheet.width, min(sheet.height, int(sheet.width * MAX_SHEET_RATIO))))
    sheet.thumbnail((MAX_SHEET_WIDTH, MAX_SHEET_WIDTH * 2))
    for quality in JPEG_QUALITIES:
        buffer = io.BytesIO()
        sheet.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= max_bytes:
            break
    return buffer.getvalue()


def _find_sheets(observations: Sequence[Observation], folder: Path) -> dict[int, dict[int, Path]]:
    """{index of a cell: {training seed: its last sheet}} of the runs whose folder is here."""
    sheets: dict[int, dict[int, Path]] = {}
    for o in observations:
        paths = sorted((folder / o.folder / "samples").glob("step_*.png")) if o.folder else []
        if paths:
            sheets.setdefault(o.cell, {})[o.seed] = paths[-1]
    return sheets
