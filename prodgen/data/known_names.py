"""Which category, attribute or value of a run a text means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from prodgen.core.errors import UsageError
from prodgen.core.spelling import compose, to_british
from prodgen.core.types import Attribute
from prodgen.data.table_reader import read_cell


def find_name(text: str, names: Iterable[str]) -> str:
    """The name that a text means: itself, or in another Unicode form, with entities of HTML or
    spaces around it, or in British or American spelling. The text where none or several do."""
    names = list(names)
    if text in names:
        return text
    for read in (compose, read_text, lambda one: to_british(read_text(one))):
        matches = [name for name in names if read(name) == read(text)]
        if matches:
            return matches[0] if len(matches) == 1 else text
    return text


def read_text(text: str) -> str:
    """The text as a table's cell is read; a word for a missing value stays."""
    return read_cell(text) or compose(text).strip()


def resolve_names(values: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The values by the names that their keys mean; UsageError where two keys mean one name."""
    names = list(names)
    resolved_values = {find_name(key, names): text for key, text in values.items()}
    if len(resolved_values) < len(values):
        raise UsageError("an attribute is named twice, in two spellings", "name it once")
    return resolved_values


def encode_text(attribute: Attribute, text: str) -> np.ndarray:
    """The columns float32 [c] of a value, given as text; ValueError where it is none."""
    columns = attribute.encode(find_name(text, attribute.values))
    if not np.isfinite(columns).all():
        raise ValueError(f"{text} is not a finite number")
    return columns
