"""File names that are valid on every system, and names as text that can be printed anywhere.

Windows has the narrowest rules: reserved device names, nine characters, and no dot or space at the
end. Of names from other systems, bytes that are not UTF-8 and control characters are the risk.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from typing import Any

MAX_STEM_BYTES = 200  # file systems allow 255 bytes; the rest is for what is appended
HASH_DIGITS = 8
# Python stands for a byte that is not UTF-8 by one of these.
SURROGATE = re.compile("[\ud800-\udfff]")
# Control characters, separators of lines, and marks that reverse the order of what follows.
CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
RESERVED_CHARACTERS = re.compile(r'[<>:"/\\|?*]')
DEVICE_NAME = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.I)
HASH_SUFFIX = re.compile(rf"~[0-9a-f]{{{HASH_DIGITS}}}$", re.I)


def check_file_name(name: str, max_bytes: int = MAX_STEM_BYTES) -> str:
    """Why a name is valid for no file on some system, in words that follow the name; "" if it is.

    name: of a file without its folder. max_bytes: of its UTF-8.
    """
    if not name:
        return "is empty"
    if SURROGATE.search(name):
        return "has bytes that are not UTF-8"
    if match := CONTROL.search(name):
        return f"has the control character {format_name(match[0])}"
    if match := RESERVED_CHARACTERS.search(name):
        return f"has the character {match[0]}, which no file name on Windows may have"
    if name[0] == ".":
        return "begins with a dot, as hidden files do"
    if name[-1] in ". ":
        return "ends with a dot or a space, which Windows removes"
    if DEVICE_NAME.fullmatch(name):
        return "is the name of a device on Windows"
    if len(name.encode()) > max_bytes:
        return f"has {len(name.encode())} bytes, of which {max_bytes} are allowed"
    return ""


def make_file_name(text: str, source: str = "", max_bytes: int = MAX_STEM_BYTES) -> str:
    """A valid file name like `text`: the text itself where it is one.

    Otherwise its invalid characters are replaced, and a hash of `source`, by default of the text,
    follows. So different texts have different names, which do not depend on other files. A text
    that ends as such a name does gets a hash too.
    """
    if not check_file_name(text, max_bytes) and not HASH_SUFFIX.search(text):
        return text
    return add_hash(text, source, max_bytes)


def add_hash(text: str, source: str = "", max_bytes: int = MAX_STEM_BYTES) -> str:
    """A valid file name like `text` that ends with a hash of `source`, by default of the text."""
    digest = hashlib.sha256(os.fsencode(source or text)).hexdigest()[:HASH_DIGITS]
    for pattern in (SURROGATE, CONTROL, RESERVED_CHARACTERS):
        text = pattern.sub("_", text)
    if text[:1] == "." or ("." in text and DEVICE_NAME.fullmatch(text)):
        text = f"_{text}"
    stem = text.encode()[: max_bytes - HASH_DIGITS - 1].decode("utf-8", "ignore")
    return f"{stem.rstrip('. ')}~{digest}"


def casefold_name(name: str) -> str:
    """What two names have in common that are one file where case and composition do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def format_name(name: str) -> str:
    r"""A name or message as one line of printable text.

    A byte that is not UTF-8 becomes \xff, a control character as in \n or \x1b.
    """
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], decode_name(name))


def decode_name(name: str) -> str:
    r"""A name as valid Unicode, for tables and JSON: a byte that is not UTF-8 becomes \xff."""
    return SURROGATE.sub(lambda match: ascii(match[0])[1:-1].replace(r"\udc", r"\x"), name)


def decode_names(value: Any) -> Any:
    """A JSON value, every text in it by `decode_name`."""
    match value:
        case str():
            return decode_name(value)
        case dict():
            return {decode_names(name): decode_names(inner) for name, inner in value.items()}
        case list() | tuple():
            return [decode_names(inner) for inner in value]
    return value
