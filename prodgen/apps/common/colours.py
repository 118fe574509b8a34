"""A colour as a user writes it: the catalogue's names, or #rrggbb."""

from __future__ import annotations

import re

from prodgen.catalogue.products import COLOURS
from prodgen.config.registry import suggest_names
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling

Rgb = tuple[int, int, int]
NAMED: dict[str, Rgb] = {name: shades[0] for name, shades in COLOURS.items()}
PAPER = NAMED | {"white": (255, 255, 255), "black": (0, 0, 0)}  # a background is not a product


def parse(text: str, flag: str, known: dict[str, Rgb] = NAMED) -> Rgb:
    """sRGB levels of "teal" or "#28a0a0"; UsageError, with the names, for anything else."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    name = find_spelling(text.lower(), known)
    if name in known:
        return known[name]
    raise UsageError(
        f"{flag}={text!r} is not a colour; {suggest_names(text, known)}", "or write it as #rrggbb"
    )
