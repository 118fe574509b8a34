"""The names of what is made from a user's files.

sub/a.jpg gives sub/a, to which a mode appends its own ending and .png. A name that is not valid on
every system gets a hash of its path. No counter is used, so no name depends on how many files stand
before it. Of files with one name, a.png and a.jpg, the second keeps its suffix: a.jpg.png. In a
folder with the manifest of an earlier command, every file keeps the name that it had.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from prodgen.core.file_names import (
    add_hash,
    casefold_name,
    check_file_name,
    decode_name,
    make_file_name,
)
from prodgen.data.folder import SUFFIXES

MAX_FOLDER_BYTES = 1000  # a system allows 4096 for a whole path; deeper folders become one
# Suffixes that a name loses: of the formats that are read or that are named in a refusal.
IMAGE_SUFFIXES = (*SUFFIXES, ".tif", ".tiff", ".avif", ".heic", ".heif", ".jxl")


def name_outputs(
    names: Sequence[str], earlier_outputs: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """A path below the out folder, without a suffix, for each file; no two are alike.

    names: different paths with / between, of files below what the user named. Two paths are alike
    where letters differ by case or composition only. Of files such as a.png, a.jpg and A.jpg, the
    first by `_precedence` gets a, the others a.jpg or a hash. earlier_outputs: by file, something
    that was made from it before; it keeps that name, also where a file with precedence is new.
    """
    forms = {name: list_forms(name) for name in names}
    earlier_stems = {
        name: _find_form(forms[name], earlier_outputs.get(decode_name(name), "")) for name in names
    }
    namesakes: dict[str, list[str]] = {}
    for name in names:
        namesakes.setdefault(casefold_name(forms[name][0]), []).append(name)
    stems: dict[str, str] = {}
    for group in namesakes.values():
        keys: set[str] = set()
        for name in sorted(group, key=lambda name: (not earlier_stems[name], *_precedence(name))):
            candidates = filter(None, (earlier_stems[name], *forms[name]))
            stems[name] = next(form for form in candidates if casefold_name(form) not in keys)
            keys.add(casefold_name(stems[name]))
    return [stems[name] for name in names]


def name_frame(name: str) -> str:
    """The frame of a sprite sheet for a file: idle/01.png is idle/01, idle/01.jpg keeps its suffix.

    It depends on the file alone, so another file never changes it.
    """
    plain, with_suffix, with_hash = list_forms(name)
    suffix = split_suffix(name)[1]
    return plain if suffix == ".png" else with_suffix if suffix else with_hash


def list_forms(name: str) -> tuple[str, str, str]:
    """The output's path for sub/a.jpg in three forms: sub/a, sub/a.jpg and sub/a~HASH.

    Each is valid on every system. A part that is not valid has a hash in all of them. So has a stem
    that itself ends with the suffix of an image, and a folder that ends with .png: no form of
    another file has such a name.
    """
    base, suffix = split_suffix(name)
    folder, _, stem = base.rpartition("/")
    parts = [
        add_hash(part) if part.lower().endswith(".png") else make_file_name(part)
        for part in filter(None, folder.split("/"))
    ]
    if len(os.fsencode(folder)) > MAX_FOLDER_BYTES:
        parts = [add_hash(parts[-1], folder)]
    with_hash = add_hash(stem, name)
    plain = with_hash if _has_image_suffix(stem) else make_file_name(stem, name)
    is_valid = plain == stem and not check_file_name(f"{stem}{suffix}")
    with_suffix = f"{stem}{suffix}" if is_valid else with_hash
    return tuple("/".join([*parts, form]) for form in (plain, with_suffix, with_hash))


def split_suffix(name: str) -> tuple[str, str]:
    """sub/a.JPG -> sub/a and .JPG; a name without an image's suffix stays whole."""
    base, suffix = os.path.splitext(name)
    return (base, suffix) if suffix.lower() in IMAGE_SUFFIXES else (name, "")


def _find_form(forms: Sequence[str], output: str) -> str:
    """The form that begins what was made from a file before; "" where there is none."""
    longest_first = sorted(forms, key=len, reverse=True)
    output = output.removesuffix(".png")
    return next((form for form in longest_first if output.startswith(form)), "")


def _has_image_suffix(stem: str) -> bool:
    return stem.lower().endswith(IMAGE_SUFFIXES)


def _precedence(name: str) -> tuple[int, bool, bytes]:
    """PNG files first, files without a suffix last; lower case and composed names first."""
    suffix = split_suffix(name)[1].lower()
    kind = 0 if suffix == ".png" else 1 if suffix else 2
    return kind, name != unicodedata.normalize("NFC", name).lower(), os.fsencode(name)
