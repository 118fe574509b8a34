"""--edit=recolour: which colours of a product become which, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from prodgen.apps.common import image_files, named_colours
from prodgen.apps.common.output import say
from prodgen.core.errors import UsageError

if TYPE_CHECKING:
    from prodgen.editing.inversion import Inverter
    from prodgen.editing.photo_edits import EditedPhoto, ProductPhoto


def parse_colours(texts: tuple[str, ...]) -> dict[str, named_colours.Rgb]:
    """The colours of --colour by a word for file names, as {"teal": ..., "203a5f": ...}."""
    colours = {}
    for text in texts:
        word = text.lower().lstrip("#").replace(" ", "-")
        if word in colours:
            raise UsageError(f"--colour names {text} twice", "name each colour once")
        colours[word] = named_colours.parse_colour(text, "--colour")
    return colours


def check_source(options: Any) -> None:
    """UsageError where --from, --at and --region are wrong or exclude each other."""
    names = [name for name in ("from_", "at", "region") if getattr(options, name)]
    if len(names) > 1:
        flags = " and ".join(f"--{name.rstrip('_')}" for name in names)
        raise UsageError(f"{flags} say the same in two ways", "give one of them")
    if names and options.method == "generated":
        raise UsageError(
            f"--{names[0].rstrip('_')} has no effect with --method=generated",
            "give --method=classical",
        )
    if options.from_:
        named_colours.parse_colour(options.from_, "--from", named_colours.BACKGROUND_COLOURS)
    if options.at:
        parse_point(options.at)


def parse_point(text: str) -> tuple[int, int]:
    """(x, y) of --at, pixels of the photo from its upper left corner."""
    match = re.fullmatch(r"(\d{1,6})[,x ](\d{1,6})", text.strip())
    if not match:
        raise UsageError(
            f"--at={text} is no point X,Y", "give pixels from the upper left, as in --at=320,200"
        )
    return int(match[1]), int(match[2])


def read_mask(file: str, flag: str = "--mask") -> np.ndarray:
    """The region float [H, W] in [0, 1] that is white in the image of a flag."""
    image = image_files.read_named_image(file, flag, "name an image of the photo's size")
    return image[..., 0] / np.float32(255)


def choose_recolouring(
    inverter: Inverter | None, options: Any
) -> Callable[[ProductPhoto], list[EditedPhoto]]:
    """Recolouring by the methods of --method, once for each of several colours.

    `both` leaves out what the run cannot do.
    """
    from prodgen.editing import photo_edits
    from prodgen.editing.photo_edits import ColourSource

    colours = parse_colours(options.colour)
    swatches = named_colours.PRODUCT_COLOURS
    source = ColourSource(
        named_colours.parse_colour(options.from_, "--from", named_colours.BACKGROUND_COLOURS)
        if options.from_ else None,
        parse_point(options.at) if options.at else None,
        read_mask(options.region, "--region") if options.region else None,
    )  # fmt: skip

    def recolour(product: ProductPhoto) -> list[EditedPhoto]:
        results = []
        for word, target in colours.items():
            variant = word if len(colours) > 1 else ""
            if options.method != "generated":
                version = photo_edits.recolour_photo(product, target, options.strength, source)
                results.append(version.as_variant(variant))
            if inverter and source == ColourSource():
                try:
                    version = photo_edits.recolour_with_model(
                        product, inverter, target, swatches, options.strength
                    )
                    results.append(version.as_variant(variant))
                except UsageError as error:
                    if options.method == "generated":
                        raise
                    say(f"classical only: {error}")
        return results

    return recolour
