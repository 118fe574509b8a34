"""The products of the catalogue: descriptions sampled as a function of (seed, id) alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.catalogue import apparel, furniture, gadgets, tableware
from prodgen.catalogue.kind import Kind, Shape
from prodgen.catalogue.render import Body, Finish, View, render_packshot

KINDS: tuple[Kind, ...] = tableware.KINDS + furniture.KINDS + apparel.KINDS + gadgets.KINDS

COLOURS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "white": ((238, 236, 231), (243, 242, 240)),
    "grey": ((138, 142, 146), (160, 158, 153), (116, 122, 128)),
    "black": ((40, 41, 44), (52, 50, 50), (36, 40, 46)),
    "red": ((192, 43, 43), (214, 60, 52), (166, 34, 46)),
    "orange": ((234, 124, 46), (240, 146, 70), (222, 104, 38)),
    "yellow": ((244, 200, 66), (238, 188, 44), (247, 214, 104)),
    "green": ((76, 140, 84), (54, 116, 76), (122, 166, 96)),
    "teal": ((40, 148, 146), (66, 168, 160), (28, 122, 128)),
    "blue": ((48, 94, 182), (62, 120, 204), (38, 66, 140)),
    "purple": ((122, 82, 168), (142, 102, 186), (100, 62, 142)),
    "pink": ((238, 148, 168), (230, 122, 152), (244, 176, 186)),
    "brown": ((122, 80, 52), (142, 96, 62), (98, 64, 46)),
}
"""Colour name -> base display RGB values, 0..255, to which a small random offset is added."""

TRIMS: dict[str, Finish] = {
    "ivory": Finish((0.94, 0.93, 0.90)),
    "kraft": Finish((0.80, 0.69, 0.54)),
    "charcoal": Finish((0.17, 0.18, 0.19), "glossy"),
    "charcoal_metal": Finish((0.36, 0.37, 0.39), "metal"),
    "tan": Finish((0.72, 0.50, 0.32)),
    "gum": Finish((0.76, 0.55, 0.36)),
    "oak": Finish((0.82, 0.66, 0.47)),
    "walnut": Finish((0.45, 0.30, 0.21)),
    "steel": Finish((0.86, 0.87, 0.89), "metal"),
    "brass": Finish((0.90, 0.73, 0.44), "metal"),
    "red": Finish((0.78, 0.18, 0.17), "glossy"),
    "light": Finish((1.0, 0.94, 0.80), "matte", 0.6),
    "lens": Finish((0.09, 0.10, 0.13), "glossy"),
    "brown_lens": Finish((0.30, 0.19, 0.11), "glossy"),
}


@dataclasses.dataclass(frozen=True)
class Product:
    """The complete description of one product: `render_product` needs nothing else.

    rgb: display RGB of the main part, 0..1. trims: part name -> name of its finish.
    """

    id: int
    kind: Kind
    variant: int
    shape: dict[str, float]
    colour: str
    rgb: tuple[float, float, float]
    material: str
    trims: dict[str, str]
    view: View

    @property
    def finishes(self) -> dict[str, Finish]:
        """The finish of each part, by part name."""
        finishes = {"main": Finish(self.rgb, self.material)}
        for part, name in self.trims.items():
            if name in TRIMS:
                finishes[part] = TRIMS[name]
            else:
                finishes[part] = Finish(related_colour(self.rgb, name), self.material)
        return finishes

    @property
    def body(self) -> Body:
        return self.kind.build(Shape(**self.shape), self.variant)

    @property
    def caption(self) -> str:
        side = "straight on"
        if abs(self.view.azimuth) >= 12:
            side = "from the left" if self.view.azimuth < 0 else "from the right"
        pair = "pair of " if self.kind.name in ("headphones", "sunglasses") else ""
        return (
            f"a {pair}{self.material} {self.colour} {self.kind.name} with "
            f"{self.kind.variants[self.variant]}, seen {side}"
        )


def related_colour(rgb: tuple[float, float, float], name: str) -> tuple[float, float, float]:
    """A colour derived from `rgb`: the same (main), darker (deep), paler, or contrasting."""
    if name == "main":
        return rgb
    if name == "deep":
        return tuple(0.55 * c for c in rgb)
    if name == "pale":
        return tuple(0.45 * c + 0.53 for c in rgb)
    grey = sum(rgb) / 3
    return tuple(min(max(1.0 - c * 0.75 - 0.1 * grey, 0.08), 0.93) for c in rgb)


class UniformStream:
    """Uniform random numbers of (seed, id): Philox, counter-based, the same on all machines."""

    def __init__(self, seed: int, id: int, count: int = 64) -> None:
        raw = np.random.Philox(key=np.array([seed % 2**64, id], np.uint64)).random_raw(count)
        self.values = iter([int(word) >> 11 for word in raw])

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """The 53 high bits of a word as a fraction, rounded to nine digits."""
        return round(low + (high - low) * next(self.values) * 2.0**-53, 9)

    def choice(self, options):
        return options[min(int(self.uniform() * len(options)), len(options) - 1)]


def sample_product(seed: int, id: int) -> Product:
    """Sample the description of product `id`. Kinds alternate with the id, all in turn."""
    kind, stream = KINDS[id % len(KINDS)], UniformStream(seed, id)
    # Each draw takes the next number: a new order of the draws changes every product.
    colour = stream.choice(tuple(COLOURS))
    base = stream.choice(COLOURS[colour])
    bright = stream.uniform(-0.025, 0.025)
    rgb = tuple(
        round(min(max(c / 255 + bright + stream.uniform(-0.012, 0.012), 0.0), 1.0), 4) for c in base
    )
    return Product(
        id=id,
        kind=kind,
        variant=stream.choice(range(len(kind.variants))),
        colour=colour,
        rgb=rgb,
        material=stream.choice(kind.materials),
        trims={part: stream.choice(names) for part, names in kind.trims.items()},
        view=View(
            azimuth=stream.uniform(-50, 50),
            elevation=stream.uniform(*kind.elevations),
            fill=stream.uniform(0.75, 0.83),
        ),
        shape={name: stream.uniform(low, high) for name, (low, high) in kind.ranges.items()},
    )


def render_product(product: Product, resolution: int) -> np.ndarray:
    """The product's packshot, uint8 [R, R, 4]; see `render.render_packshot`."""
    return render_packshot(product.body, product.finishes, product.view, resolution)
