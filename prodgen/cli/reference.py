"""The tables of docs/configs.md and docs/modes.md: python -m prodgen.cli.reference makes them anew.

Each table stands between two marks in its page; what stands around them is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

from prodgen.cli import modes, options
from prodgen.config import registry
from prodgen.config.fields import FIELDS
from prodgen.config.lookup import describe_readers

BEGIN, END = "<!-- begin {} -->", "<!-- end {} -->"


def config_table() -> str:
    """Markdown: a row a field."""
    rows = ["| field | default | allowed | meaning | read with |", "|---|---|---|---|---|"]
    for path, field in FIELDS.items():
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        choices = ", ".join(f"`{one}`" if one != "" else '""' for one in field.rule.choices)
        allowed = choices or str(field.rule)
        meaning = field.help.replace("|", "\\|")  # or it would end the cell
        cells = [f"`{path}`", str(default), allowed, meaning, describe_readers(path)]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def mode_tables() -> str:
    """Markdown: a section a mode, with a row an option."""
    sections = []
    for name in registry.MODES:
        module = modes.module_of(name)
        text = " ".join(line.strip() for line in modes.summary(name).splitlines())
        run = {"needed": "Needs a run.", "optional": "Takes a run where one is needed.",
               "none": "Needs no run."}[module.Options.run]  # fmt: skip
        rows = ["| flag | default | allowed | meaning |", "|---|---|---|---|"]
        for one in options.options_of(module.Options):
            words = [one.help, *(f"Read with --{name}={' or '.join(values)}."
                                 for name, values in one.read_with.items())]  # fmt: skip
            cells = [f"`--{one.name}`", one.default_text(), one.describe(), " ".join(words)]
            rows.append("| " + " | ".join(cells) + " |")
        sections.append(f"### {name}\n\n{text[:1].upper()}{text[1:]} {run}\n\n" + "\n".join(rows))
    return "\n\n".join(sections)


TABLES = {"configs.md": {"fields": config_table}, "modes.md": {"modes": mode_tables}}


def update_page(page: str, tables: dict) -> str:
    """The page with each of its tables made anew; ValueError where a mark is missing."""
    for name, make in tables.items():
        begin, end = BEGIN.format(name), END.format(name)
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        page, count = pattern.subn(lambda _: f"{begin}\n{make()}\n{end}", page)  # noqa: B023
        if count != 1:
            raise ValueError(f"the marks of the table {name!r} stand {count} times in the page")
    return page


def main() -> None:
    folder = Path(__file__).parents[2] / "docs"
    for file, tables in TABLES.items():
        path = folder / file
        path.write_text(update_page(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
