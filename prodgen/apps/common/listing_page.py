"""What a person reads of a listing: listing.csv, and listing.html to approve from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prodgen.apps.common.batch_progress import BatchProgress
from prodgen.apps.common.image_files import MAX_PIXELS
from prodgen.apps.common.listing_images import ImageOptions, PhotoJob
from prodgen.apps.common.listing_products import ListingProblem
from prodgen.apps.common.thumbnails import encode_thumbnail
from prodgen.core import decode
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import RejectedItem
from prodgen.report.review_page import STATES, ReviewRow, build_review_page

COLUMNS = (
    "sku", "role", "colour", "size", "file", "alt_text", "verdict", "findings", "notes", "width",
    "height", "bytes", "photo", "line",
)  # fmt: skip
MAX_ROW_IMAGES = 8  # of a photo's images on the page
ROW_STATES = {"doubtful": "doubt", "ready": "good"}
VERDICTS = {"bad": "refused", "doubt": "doubtful: look at it", "good": "ready"}
Entry = dict[str, Any]


def list_entries(
    jobs: Sequence[PhotoJob], options: ImageOptions, progress: BatchProgress
) -> Iterator[tuple[PhotoJob, list[Entry]]]:
    """(job, entries of its files, each with its `file`) of every photo; one entry if refused."""
    for job in jobs:
        lines = ((file, progress.get_line(file)) for file in job.list_files(options))
        entries = [{"file": file} | line for file, line in lines if line]
        # Files of an earlier command may be there beside a photo that is refused now.
        yield job, entries[:1] if entries and "refused" in entries[0] else entries


def format_table(
    results: Sequence[tuple[PhotoJob, list[Entry]]],
    problems: Sequence[ListingProblem],
    folder: Path,
    subfolder: str,
) -> bytes:
    """The content of listing.csv: a line a file, then a line a problem."""
    lines = []
    for job, entries in results:
        for entry in entries:
            if "refused" in entry:
                refusal = {"verdict": "refused", "findings": [entry["refused"]], "role": job.role}
                entry = {"sku": job.product.sku, "file": ""} | refusal
            elif entry["file"]:
                path = f"{subfolder}/{entry['file']}"
                entry = entry | {"file": path, "bytes": (folder / path).stat().st_size}
            entry = entry | {"photo": job.name, "line": job.product.line}
            lines.append([_format_cell(entry.get(name, "")) for name in COLUMNS])
    for problem in problems:
        entry = {"sku": problem.sku, "verdict": "refused", "findings": problem.reason,
                 "photo": problem.photo, "line": problem.line or ""}  # fmt: skip
        lines.append([_format_cell(entry.get(name, "")) for name in COLUMNS])
    return format_csv(COLUMNS, lines)


def _format_cell(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else value


def build_page(
    results: Sequence[tuple[PhotoJob, list[Entry]]],
    problems: Sequence[ListingProblem],
    folder: Path,
    summary: str,
    limit: int,
) -> bytes:
    """The page of the first `limit` photos, doubtful ones first. folder: of the images."""
    states = [(find_state(entries), job, entries) for job, entries in results]
    states.sort(key=lambda item: STATES.index(item[0]))
    counts = {state: sum(item[0] == state for item in states) for state in STATES}
    num_files = sum("refused" not in entry for *_, entries in states for entry in entries)
    cards = [("photos ready", counts["good"]), ("photos to look at", counts["doubt"]),
             ("photos refused", counts["bad"]), ("rows and photos with problems", len(problems)),
             ("files", num_files)]  # fmt: skip
    rows = [_build_row(job, entries, state, folder) for state, job, entries in states[:limit]]
    rows += [
        ReviewRow(
            " ".join(filter(None, (problem.sku, problem.photo))) or f"line {problem.line}",
            "refused", "bad", _show_photo(problem.path), (problem.reason,),
            details=(f"line {problem.line} of the table",) if problem.line else (),
        )
        for problem in problems[: max(0, limit - len(rows))]
    ]  # fmt: skip
    if len(rows) < len(states) + len(problems):
        summary += f"; {len(rows)} of {len(states) + len(problems)} are shown"
    shown_cards = [(text, str(count)) for text, count in cards]
    return build_review_page("Listing to approve", summary, shown_cards, rows)


def find_state(entries: Sequence[Entry]) -> str:
    """Of a photo: refused if its first file is, else by the worst of the files that are made."""
    if not entries or "refused" in entries[0]:
        return "bad"
    verdicts = {entry["verdict"] for entry in entries if "refused" not in entry}
    return min((ROW_STATES[verdict] for verdict in verdicts), key=STATES.index)


def _build_row(job: PhotoJob, entries: Sequence[Entry], state: str, folder: Path) -> ReviewRow:
    images = [("before", _read_thumbnail(job.path))]
    findings, details = dict[str, None](), [f"photo: {job.name}"]
    for entry in entries:
        findings |= dict.fromkeys([entry["refused"]] if "refused" in entry else entry["findings"])
        if "refused" not in entry and len(images) <= MAX_ROW_IMAGES:
            images.append((entry["file"], _read_thumbnail(folder / entry["file"])))
    shown_entries = [entry for entry in entries if "refused" not in entry]
    texts = dict.fromkeys(entry["alt_text"] for entry in shown_entries)
    details += [f"alt text: {text}" for text in texts]
    details += [f"note: {note}" for note in (shown_entries[0]["notes"] if shown_entries else ())]
    name = f"{job.product.sku} {job.role}"
    title = f"{name}: {job.product.title}" if job.product.title else name
    return ReviewRow(
        title, VERDICTS[state], state, tuple(p for p in images if p[1]), tuple(findings),
        tuple(details), approval=name if shown_entries else "",
    )  # fmt: skip


def _show_photo(path: str) -> tuple[tuple[str, bytes], ...]:
    content = _read_thumbnail(Path(path)) if path else b""
    return (("before", content),) if content else ()


def _read_thumbnail(path: Path) -> bytes:
    """A small JPEG of a file's image; b"" where it cannot be read."""
    try:
        return encode_thumbnail(decode.decode_file(path, MAX_PIXELS))
    except RejectedItem:
        return b""
