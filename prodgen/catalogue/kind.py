"""What a kind of product is: ranges of its shape, variants, and a builder of its solids."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace

from prodgen.catalogue.render import Body

ANY = ("matte", "glossy", "metal")
LACQUER = ("matte", "glossy")

Shape = SimpleNamespace
"""One product's shape: a float attribute for every name in `Kind.ranges`."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of product.

    build: (shape, variant index) -> Body, whose parts are "main" and the names in `trims`.
    ranges: shape parameters, low and high, in a unit of its own: pictures are framed anyway.
    variants: structural variants, as the caption says them after "with".
    trims: the finishes that each other part may have, named in products.TRIMS or "main", "deep",
    "pale" and "second" (relatives of the main colour).
    """

    name: str
    build: Callable[[Shape, int], Body]
    variants: tuple[str, ...]
    materials: tuple[str, ...]
    trims: dict[str, tuple[str, ...]]
    ranges: dict[str, tuple[float, float]]
    elevations: tuple[float, float] = (6.0, 34.0)


def standing(parts, x: float, y: float, z: float, relax: float = 0.9) -> Body:
    """A body around the y axis: half width x, height y, half depth z."""
    return Body(parts, (-x, 0.0, -z), (x, y, z), relax)
