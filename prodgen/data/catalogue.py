"""The embedded catalogue: rendered packshots of sixteen kinds of product, without a download.

Every image is a function of (seed, id) alone and needs NumPy only, with the same bytes on any
machine (catalogue/sdf.py explains how). catalogue/products.py samples the products and
catalogue/render.py renders them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prodgen.catalogue.lighting import MATERIALS
from prodgen.catalogue.products import COLOURS, KINDS, Product, render_product, sample_product
from prodgen.catalogue.render import measure_proportions
from prodgen.core.types import Attribute
from prodgen.data.source import Item, Value

if TYPE_CHECKING:
    from ml_collections import ConfigDict

__all__ = ["Catalogue", "from_config", "render_product", "sample_product"]

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
"""The colour is that of the main part, display RGB in 0..1. The azimuth is positive when the camera
is to the right of the product's front; the elevation is the camera's angle over the horizon."""


class Catalogue:
    """`size` products of a seed as packshots of `resolution` pixels a side.

    Images are RGBA uint8 [R, R, 4]. RGB is the final packshot, already on its white background with
    the soft shadow. Alpha is the coverage of the product alone, without its shadow: a mask for the
    store, not for compositing, as `is_composited` says.
    """

    parallel = True
    is_composited = True

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
            sample = sample_product(self.seed, id)
            yield Item(
                name=f"{sample.kind.name}-{id:06d}",
                image=render_product(sample, self.resolution),
                category=sample.kind.name,
                attributes=describe_attributes(sample),
                caption=sample.caption,
            )


def describe_attributes(sample: Product) -> dict[str, Value]:
    """The values of SCHEMA for one product, by name."""
    width, height, depth = measure_proportions(sample.body)
    red, green, blue = sample.rgb
    return {
        "colour": sample.colour,
        "colour_r": red,
        "colour_g": green,
        "colour_b": blue,
        "material": sample.material,
        "variant": str(sample.variant + 1),
        "width": width,
        "height": height,
        "depth": depth,
        "azimuth": sample.view.azimuth,
        "elevation": sample.view.elevation,
    }


def from_config(data: ConfigDict) -> Catalogue:
    """The source that config.data describes."""
    return Catalogue(data.size, data.resolution, data.seed)
