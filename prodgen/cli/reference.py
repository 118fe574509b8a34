"""Writes the tables of docs/configs.md and docs/modes.md: python -m prodgen.cli.reference

Each table is between two marks in its page; the text around it is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from prodgen.cli import modes, options
from prodgen.config import registry
from prodgen.config.fields import FIELDS
from prodgen.config.lookup import describe_readers

BEGIN_MARK, END_MARK = "<!-- begin {} -->", "<!-- end {} -->"


def format_config_table() -> str:
    """A Markdown table with one row per config field."""
    rows = ["| field | default | allowed | meaning | read with |", "|---|---|---|---|---|"]
    for path, field in FIELDS.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        choices = ", ".join(f"`{x}`" if x != "" else '""' for x in field.rule.choices)
        meaning = field.help.replace("|", "\\|")  # a bare | would end the cell
        cells = [f"`{path}`", str(default), choices or str(field.rule), meaning,
                 describe_readers(path)]  # fmt: skip
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def format_mode_tables() -> str:
    """One Markdown section per mode, with a table of one row per option."""
    sections = []
    for name in registry.MODES:
        module = modes.import_mode(name)
        text = modes.summarise_mode(name).strip()
        run = {"needed": "Needs a run.", "optional": "Takes a run where one is needed.",
               "none": "Needs no run."}[module.Options.run]  # fmt: skip
        rows = ["| flag | default | allowed | meaning |", "|---|---|---|---|"]
        for opt in options.list_options(module.Options):
            sentences = [opt.help, *(f"Read with --{other}={' or '.join(values)}."
                                     for other, values in opt.read_with.items())]  # fmt: skip
            cells = [f"`--{opt.name}`", opt.format_default(), opt.describe(), " ".join(sentences)]
            rows.append("| " + " | ".join(cells) + " |")
        sections.append(f"### {name}\n\n{text[:1].upper()}{text[1:]} {run}\n\n" + "\n".join(rows))
    return "\n\n".join(sections)


TABLES = {"configs.md": {"fields": format_config_table}, "modes.md": {"modes": format_mode_tables}}


def update_page(page: str, tables: dict[str, Callable[[], str]]) -> str:
    """The page with its tables written again; ValueError where a table's marks are not there once.

    tables: the name in a table's marks -> the function that formats the table.
    """
    for name, format_table in tables.items():
        begin, end = BEGIN_MARK.format(name), END_MARK.format(name)
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = f"{begin}\n{format_table()}\n{end}"
        page, count = pattern.subn(lambda _, text=text: text, page)
        if count != 1:
            raise ValueError(f"the marks of the table {name!r} are {count} times in the page")
    return page


def main() -> None:
    folder = Path(__file__).parents[2] / "docs"
    for file, tables in TABLES.items():
        path = folder / file
        path.write_text(update_page(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
