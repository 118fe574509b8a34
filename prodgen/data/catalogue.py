"""The embedded catalogue: packshots of sixteen kinds of product, drawn here, nothing downloaded.

Every picture is a function of (seed, id) alone and needs NumPy only, with the same bytes on any
machine (rendering/sdf.py says how): rendering/products.py samples the products, render.py draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prodgen.catalogue.lighting import MATERIALS
from prodgen.catalogue.products import COLOURS, KINDS, Product, product, render
from prodgen.catalogue.render import proportions
from prodgen.core.types import Attribute
from prodgen.data.source import Item, Value

if TYPE_CHECKING:
    from ml_collections import ConfigDict

__all__ = ["Catalogue", "from_config", "product", "render"]

VERSION = "1"  # part of the store's key: raise it with every change of the bytes

SCHEMA = (
    Attribute("colour", "categorical", tuple(COLOURS)),
    Attribute("colour_r", "number"),
    Attribute("colour_g", "number"),
    Attribute("colour_b", "number"),
    Attribute("material", "categorical", MATERIALS),
    Attribute("variant", "categorical", ("1", "2", "3")),
    Attribute("width", "number", unit="of the largest side"),
    Attribute("height", "number", unit="of the largest side"),
    Attribute("depth", "number", unit="of the largest side"),
    Attribute("azimuth", "angle", unit="degrees"),
    Attribute("elevation", "number", unit="degrees"),
)
"""Colour is that of the main part, display RGB in 0..1. Azimuth is positive when the camera stands
to the right of the product's front; elevation is the camera's height over the horizon."""


class Catalogue:
    """`size` products of a seed as packshots of `resolution` pixels a side.

    Pictures are RGBA uint8 [R, R, 4]. RGB is the finished packshot, already on its white background
    with the soft shadow; alpha is the coverage of the product alone, without its shadow: it is a
    mask to be stored, not to be composed with (`composited` says so).
    """

    parallel = True
    composited = True

    def __init__(self, size: int, resolution: int, seed: int = 0) -> None:
        self.size, self.resolution, self.seed = size, resolution, seed

    def __len__(self) -> int:
        return self.size

    def classes(self) -> tuple[str, ...]:
        return tuple(kind.name for kind in KINDS)

    def schema(self) -> tuple[Attribute, ...]:
        return SCHEMA

    def content(self) -> dict[str, Any]:
        return {
            "source": "catalogue",
            "version": VERSION,
            "size": self.size,
            "resolution": self.resolution,
            "seed": self.seed,
        }

    def stream(self, start: int, stop: int) -> Iterator[Item]:
        for id in range(start, stop):
            described = product(self.seed, id)
            yield Item(
                name=f"{described.kind.name}-{id:06d}",
                image=render(described, self.resolution),
                category=described.kind.name,
                attributes=describe_attributes(described),
                caption=described.caption,
            )


def describe_attributes(described: Product) -> dict[str, Value]:
    """The values of SCHEMA for one product, by name."""
    width, height, depth = proportions(described.body)
    red, green, blue = described.rgb
    return {
        "colour": described.colour,
        "colour_r": red,
        "colour_g": green,
        "colour_b": blue,
        "material": described.material,
        "variant": str(described.variant + 1),
        "width": width,
        "height": height,
        "depth": depth,
        "azimuth": described.view.azimuth,
        "elevation": described.view.elevation,
    }


def from_config(data: ConfigDict) -> Catalogue:
    """The catalogue that a config's `data` section asks for."""
    return Catalogue(data.size, data.resolution, data.seed)
