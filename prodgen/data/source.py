"""The contract between where pictures come from and `prepare`, which turns them into a store.

A source lists raw pictures of any size and says what it knows of each. It decides nothing about
resolution, splits or encoding: those are prepare's. Sources import no TensorFlow at module level.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import numpy as np

from prodgen.core.errors import Refused
from prodgen.core.types import Attribute

Value = str | float | None
SplitName = Literal["train", "validation", "test"]


@dataclasses.dataclass
class Item:
    """One raw picture and what is known of it.

    picture: uint8 [h, w, c], c of 1 (grey), 3 (RGB) or 4 (RGBA), upright, or the `Refused` that
    says why there is none. category: None when unknown. attributes: by name; None when unknown.
    split: set where the source has official splits, else None.
    """

    name: str
    image: np.ndarray | Refused
    category: str | None = None
    attributes: dict[str, Value] = dataclasses.field(default_factory=dict)
    caption: str = ""
    split: SplitName | None = None


class Source(Protocol):
    """A list of raw pictures. Picklable: prepare streams ranges of it from several processes."""

    parallel: bool  # whether ranges may be streamed from several processes

    def __len__(self) -> int:
        """How many pictures there are, refused ones included."""

    def classes(self) -> tuple[str, ...]:
        """Category names in label order; empty when the pictures have no categories."""

    def schema(self) -> tuple[Attribute, ...]:
        """The attributes; mean and deviation are filled in by prepare from the training split."""

    def content(self) -> dict[str, Any]:
        """What identifies the content (JSON): hashed into the store's key."""

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        """The pictures of a range, in order; one that fails is yielded as Refused, never raised."""
