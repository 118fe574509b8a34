"""Types that all packages share, and the letters of array axes. Needs no JAX.

B batch, H height, W width, C channels (1 or 3), Z latent, K classes, A attribute columns.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

Array = Any  # a jax.Array or a np.ndarray
Key = Any  # a typed jax.random key
Batch = dict[str, Array]
"""`image` uint8 [B, H, W, C]; `label` int32 [B], -1 unknown; `attributes` float32 [B, A];
`known` bool [B, A]; `id` int32 [B]; `slot` int32 [B], the position in the global batch."""
Metrics = dict[str, Array]
"""A flat dict of scalars: "loss", "kl", "grad_norm/vae"."""

AttributeKind = Literal["categorical", "number", "angle"]


@dataclasses.dataclass(frozen=True)
class Attribute:
    """One attribute of a product and how it is laid out in columns.

    A categorical attribute is one-hot over `values`; a number is one column, standardised with
    the training split's `mean` and `std`; an angle (degrees) is its sine and cosine.
    """

    name: str
    kind: AttributeKind
    values: tuple[str, ...] = ()
    unit: str = ""
    mean: float = 0.0
    std: float = 1.0

    @property
    def num_columns(self) -> int:
        return {"categorical": len(self.values), "number": 1, "angle": 2}[self.kind]

    def encode(self, value: str | float) -> np.ndarray:
        """The columns of one known value, float32 [columns]. Unknown category: ValueError."""
        if self.kind == "categorical":
            return np.eye(len(self.values), dtype=np.float32)[self.values.index(str(value))]
        if self.kind == "number":
            return np.float32([(float(value) - self.mean) / self.std])
        angle = np.deg2rad(float(value))
        return np.float32([np.sin(angle), np.cos(angle)])

    def decode(self, columns: np.ndarray) -> str | float:
        """The value behind columns float [columns]; angles come back in [0, 360)."""
        if self.kind == "categorical":
            return self.values[int(np.argmax(columns))]
        if self.kind == "number":
            return float(columns[0]) * self.std + self.mean
        return float(np.rad2deg(np.arctan2(columns[0], columns[1])) % 360)


@dataclasses.dataclass(frozen=True)
class Spec:
    """A data set as a model sees it: image shape, classes, attributes, background colour.

    `background` is the most common background colour, one value in 0..255 for each channel; empty
    if it was not measured.
    """

    resolution: int
    channels: int
    classes: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    background: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.resolution, self.resolution, self.channels)

    @property
    def num_columns(self) -> int:
        """A, the number of attribute columns."""
        return sum(attribute.num_columns for attribute in self.attributes)

    def column_slices(self) -> dict[str, slice]:
        """The slice of each attribute's columns, by name."""
        slices, start = {}, 0
        for attribute in self.attributes:
            slices[attribute.name] = slice(start, start + attribute.num_columns)
            start += attribute.num_columns
        return slices

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Spec:
        attributes = tuple(
            Attribute(**{**entry, "values": tuple(entry["values"])}) for entry in data["attributes"]
        )
        background = tuple(data.get("background", ()))
        return Spec(
            data["resolution"], data["channels"], tuple(data["classes"]), attributes, background
        )
