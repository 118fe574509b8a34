"""A look at the data without training: how they were read, their splits, and the remarks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from prodgen.data import prepare
from prodgen.data.data_report import make_printable
from prodgen.data.source import SourceDescription
from prodgen.data.store import SPLITS

PrintLine = Callable[[str], None]
MAX_LINES = 20  # of categories, and of refused files


def print_data(data: ConfigDict, print_line: PrintLine, say: PrintLine) -> None:
    """Prepare the data that config.data describes, and print what a run would train on.

    say: receives the progress. The reading is printed first, so that it is there also where the
    images do not suffice. Errors are those of prepare.open_or_prepare.
    """
    source = prepare.source_from_config(data)
    if hasattr(source, "describe"):
        for line in format_description(source.describe()):
            print_line(make_printable(line))
    store = prepare.open_or_prepare(data, say, source)
    report = json.loads((store.path / "data_report.json").read_text(encoding="utf-8"))
    counts = ", ".join(f"{report['counts'][name]:,} {name}" for name in SPLITS)
    print_line(f"images of each split: {counts}; {report['refused']['total']:,} refused")
    for row in report["classes"][:MAX_LINES]:
        counts = ", ".join(f"{row[name]:,} {name}" for name in SPLITS)
        print_line(f"  {row['name']}: {counts}")
    num_hidden = len(report["classes"]) - MAX_LINES
    if num_hidden > 0:
        print_line(f"  ... and {num_hidden:,} more categories")
    for remark in [*report["remarks"], *report["notes"]]:
        print_line(f"remark: {remark}")
    for example in report["refused"]["examples"][:MAX_LINES]:
        print_line(f"refused: {example['name']}: {example['reason']}")
    print_line(f"data report: {store.path / 'data_report.html'}")


def format_description(description: SourceDescription) -> Iterator[str]:
    """The lines of a description."""
    yield description.title
    for sentence in description.sentences:
        yield f"  {sentence}"
    for line in description.tree:
        yield f"    {line}"
    for column in description.columns:
        unit = f" ({column.unit})" if column.unit else ""
        details = "; ".join(text for text in (column.content, column.reason) if text)
        yield f"  {column.name}{unit}: {column.kind}" + (f"; {details}" if details else "")
