"""The contract between the places where images come from and `prepare`, which builds a store.

A source lists raw images of any size with their metadata. It decides nothing about resolution,
splits or encoding, which `prepare` does. Sources import no TensorFlow at module level.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import numpy as np

from prodgen.core.errors import RejectedItem
from prodgen.core.types import Attribute

Value = str | float | None
SplitName = Literal["train", "validation", "test"]
# Source -> the field of config.data that says where its images are.
SOURCE_PATHS = {"folder": "path", "table": "path", "tfds": "downloads"}


@dataclasses.dataclass
class Item:
    """One raw image and its metadata.

    image: uint8 [h, w, c], c of 1 (grey), 3 (RGB) or 4 (RGBA), upright; or the `RejectedItem` that
    gives the reason why there is none. category: None when unknown. attributes: by name; None when
    unknown. split: set where the source has official splits, else None. group: the product that it
    shows, where the source knows it; all images of one group stay in one split.
    """

    name: str
    image: np.ndarray | RejectedItem
    category: str | None = None
    attributes: dict[str, Value] = dataclasses.field(default_factory=dict)
    caption: str = ""
    split: SplitName | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class ColumnDescription:
    """What was decided for one column of a table, as text for the report.

    kind: image, category, group, caption, split, number, angle, categorical or ignored. content:
    its range or its values. reason: why it is ignored, or what was changed in it.
    """

    name: str
    kind: str
    unit: str = ""
    content: str = ""
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class SourceDescription:
    """How a source was read, for the report.

    title: such as "How the folder was read". sentences: what was taken as what, what was left out
    and why. tree: lines of a folder's tree. columns: of a table, in its order.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tree: tuple[str, ...] = ()
    columns: tuple[ColumnDescription, ...] = ()


class Source(Protocol):
    """A list of raw images. Picklable, because several processes read ranges of it."""

    parallel: bool  # whether several processes may read ranges

    def __len__(self) -> int:
        """The number of images, refused ones included."""

    def classes(self) -> tuple[str, ...]:
        """Category names in label order; empty when the images have no categories."""

    def schema(self) -> tuple[Attribute, ...]:
        """The attributes; `prepare` computes mean and std from the training split."""

    def content(self) -> dict[str, Any]:
        """What identifies the content (JSON): hashed into the store's key."""

    def describe(self) -> SourceDescription:
        """How the source was read, for the report. A source without decisions lacks it."""

    def item_name(self, index: int) -> str:
        """The name of an item whose image cannot be decoded. A source without files lacks it."""

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        """The images of a range, in order; a RejectedItem is yielded, never raised."""
