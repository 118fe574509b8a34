"""Fonts of texts on images: the user's own, or DejaVu Sans, which Matplotlib brings.

A font without a glyph would draw a box, so a text that a font lacks is refused with the script that
it is in.
"""

from __future__ import annotations

import functools
import importlib.util
import unicodedata
from pathlib import Path

from PIL import ImageFont, features

from prodgen.core.errors import MissingInput, UsageError

REGULAR, BOLD = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"
# Their letters change with their neighbours, or stand from right to left: Pillow needs Raqm.
COMPLEX_SCRIPTS = {
    "ARABIC", "HEBREW", "SYRIAC", "THAANA", "DEVANAGARI", "BENGALI", "GUJARATI", "GURMUKHI",
    "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "MYANMAR", "KHMER",
    "TIBETAN",
}  # fmt: skip


@functools.cache
def load(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A font file at a size in pixels; "" is Pillow's own, which has ASCII only.

    MissingInput: no such file; UsageError: no font.
    """
    if not path:
        return ImageFont.load_default(size=size)
    if not Path(path).is_file():
        raise MissingInput(f"--font={path} does not exist", "name a .ttf or .otf file")
    try:
        return ImageFont.truetype(path, size)
    except (OSError, ValueError):
        raise UsageError(f"--font={path} is not a font", "name a .ttf or .otf file") from None


def find_dejavu(is_bold: bool = False) -> str:
    """The file of DejaVu Sans; "" where Matplotlib is not installed."""
    specification = importlib.util.find_spec("matplotlib")
    if specification is None or not specification.origin:
        return ""
    folder = Path(specification.origin).parent / "mpl-data" / "fonts" / "ttf"
    path = folder / (BOLD if is_bold else REGULAR)
    return str(path) if path.is_file() else ""


def choose(text: str, path: str, flag: str = "--text", first: str = "") -> str:
    """The font file for a text: the user's `path`, else `first` or DejaVu where it has all glyphs.

    UsageError, naming the script, where the text needs a font that the user must name.
    """
    candidates = [path] if path else list(dict.fromkeys((first, find_dejavu())))
    for candidate in candidates:
        if not find_missing(text, candidate):
            _check_script(text, flag)
            return candidate
    missing = find_missing(text, candidates[-1])
    letters = " ".join(map(repr, missing[:5]))
    raise UsageError(
        f"{flag}: the font has no {letters} ({name_script(missing[0])})",
        f"name a font of that script with {'another ' if path else ''}--font=FILE.ttf",
    )


def find_missing(text: str, path: str) -> list[str]:
    """The letters of a text that a font has no glyph for, each once."""
    font = load(path, 20)
    placeholder = bytes(font.getmask("\U0010ffff"))
    return [
        letter
        for letter in dict.fromkeys(text)
        if not letter.isspace() and bytes(font.getmask(letter)) == placeholder
    ]


def name_script(letter: str) -> str:
    """The script of a letter, as "Thai" or "CJK"; "a symbol" for what has none."""
    word = unicodedata.name(letter, "").split(" ")[0]
    is_letter = unicodedata.category(letter).startswith(("L", "M"))
    if not is_letter or not word:
        return "a symbol"
    return word if word == "CJK" else word.capitalize()


def _check_script(text: str, flag: str) -> None:
    """UsageError where the letters of a text must be shaped and Pillow cannot do it."""
    if features.check("raqm"):
        return
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in text} & COMPLEX_SCRIPTS
    if scripts:
        raise UsageError(
            f"{flag}: Pillow is installed without Raqm, which {sorted(scripts)[0].capitalize()} "
            "needs to be drawn right",
            "install Pillow's own wheel: pip install --force-reinstall pillow",
        )
