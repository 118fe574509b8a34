"""The description of a kind of product: its shape ranges, variants, and builder of solids."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace

from prodgen.catalogue.render import Body
from prodgen.catalogue.sdf import Field, Points

ALL_MATERIALS = ("matte", "glossy", "metal")
NON_METALS = ("matte", "glossy")

Shape = SimpleNamespace
"""One product's shape: a float attribute for every name in `Kind.ranges`."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of product.

    build: (shape, variant index) -> Body, whose parts are "main" and the names in `trims`.
    variants: structural variants, as in the caption after "with".
    trims: the finishes that each other part may have: names in products.TRIMS, or "main", "deep",
    "pale" and "second" (colours derived from the main colour).
    ranges: shape parameters, low and high, in an arbitrary unit, since the product is framed.
    elevations: range of the camera's elevation, degrees.
    """

    name: str
    build: Callable[[Shape, int], Body]
    variants: tuple[str, ...]
    materials: tuple[str, ...]
    trims: dict[str, tuple[str, ...]]
    ranges: dict[str, tuple[float, float]]
    elevations: tuple[float, float] = (6.0, 34.0)


def centred_body(
    parts: Callable[[Points], dict[str, Field]],
    x: float,
    y: float,
    z: float,
    step_scale: float = 0.9,
) -> Body:
    """A body around the y axis: half width x, height y, half depth z."""
    return Body(parts, (-x, 0.0, -z), (x, y, z), step_scale)
