"""A colour as a user writes it: a name of the catalogue, or #rrggbb."""

from __future__ import annotations

import re

from prodgen.catalogue.products import COLOURS
from prodgen.config.registry import suggest_names
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling

Rgb = tuple[int, int, int]
PRODUCT_COLOURS: dict[str, Rgb] = {name: shades[0] for name, shades in COLOURS.items()}
BACKGROUND_COLOURS = PRODUCT_COLOURS | {"white": (255, 255, 255), "black": (0, 0, 0)}


def parse_colour(text: str, flag: str, colours: dict[str, Rgb] = PRODUCT_COLOURS) -> Rgb:
    """sRGB levels of "teal" or "#28a0a0"; UsageError, with the names, for any other text."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    name = find_spelling(text.lower(), colours)
    if name in colours:
        return colours[name]
    raise UsageError(
        f"{flag}={text!r} is not a colour; {suggest_names(text, colours)}", "or write it as #rrggbb"
    )
