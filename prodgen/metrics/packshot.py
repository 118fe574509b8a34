"""What a set of packshots gets right: medians of the product measures, and its colours.

One picture's measures are those of metrics/product.py. Colours are compared as CIEDE2000.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prodgen.core.types import Attribute, Batch, Spec
from prodgen.metrics import product
from prodgen.photo import colorimetry, dominant_colours, silhouette

MAX_IMAGES = 200  # pictures of a set that are looked at: medians need no more
COLOUR_ATTRIBUTES = ("colour", "color")  # of a categorical attribute that asks for a colour
COLOUR_CHANNELS = ("colour_r", "colour_g", "colour_b")  # numbers that ask for one, of 255 or of 1
MIN_COLOUR_EXAMPLES = 3  # real pictures that say what a colour's name looks like
MAX_PALETTE_PIXELS = 200_000  # of all products, that a set's palette is made of


def summarise(pictures: np.ndarray) -> dict[str, float]:
    """Medians over the pictures uint8 [N, R, R, C] that show a product, and their share, `shown`.

    fill and area are shares of the frame, off_centre the larger offset as a share of the side,
    white_mean levels from white, evenness and halo levels, blur pixels. Of the first 200 pictures;
    nan where none is measurable. Pictures under 16 pixels a side: ValueError.
    """
    found = [product.measure(picture) for picture in pictures[:MAX_IMAGES]]
    shown = [measures for measures in found if not measures.blank]
    names = ("white_mean", "evenness", "fill", "area", "halo", "blur")
    return {
        "shown": len(shown) / len(found),
        "off_centre": _median([max(map(abs, measures.offset)) for measures in shown]),
        **{name: _median([getattr(measures, name) for measures in shown]) for name in names},
    }


def colour_differences(
    spec: Spec, pictures: np.ndarray, asked: Batch | None, real: Batch
) -> dict[str, float]:
    """Colour differences, CIEDE2000, of pictures uint8 [N, R, R, 3].

    `palette`: between the palettes of all products of the pictures and of the `real` ones.
    `colour`: the median difference of a product's mean colour to the one `asked` for, where
    conditions ask for any. nan or left out where there is nothing to compare.
    """
    mine, theirs = (
        [product_pixels(x) for x in side[:MAX_IMAGES]] for side in (pictures, real["image"])
    )
    found = {"palette": _palettes_apart(mine, theirs)}
    if asked is not None and (wanted := _requested_colours(spec, asked, real, theirs)) is not None:
        gaps = [
            colorimetry.mean_colour_difference(pixels, rgb)
            for pixels, rgb in zip(mine, wanted, strict=False)
            if len(pixels) and np.isfinite(rgb).all()
        ]
        found["colour"] = _median(gaps)
    return found


def product_pixels(picture: np.ndarray) -> np.ndarray:
    """The pixels uint8 [n, 3] of the product in a picture uint8 [R, R, 3]; n is 0 without one."""
    return picture[silhouette.find_silhouette(picture).mask]


def _palettes_apart(mine: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    sides = [np.concatenate(side) for side in (mine, theirs)]
    if not all(map(len, sides)):
        return float("nan")
    thinned = [side[:: -(-len(side) // MAX_PALETTE_PIXELS)] for side in sides]
    return dominant_colours.palette_difference(*map(dominant_colours.extract_palette, thinned))


def _requested_colours(
    spec: Spec, asked: Batch, real: Batch, theirs: list[np.ndarray]
) -> np.ndarray | None:
    """The sRGB colour float [N, 3] that each condition asks for, nan for none; None: none at all.

    A name of a colour means the mean colour of the real products that carry it.
    """
    place = {attribute.name: attribute for attribute in spec.attributes}
    if all(name in place and place[name].kind == "number" for name in COLOUR_CHANNELS):
        wanted, owned = (
            np.stack([_numbers(spec, place[name], side) for name in COLOUR_CHANNELS], axis=1)
            for side in (asked, real)
        )
        return wanted * (255 if np.nanmax(owned, initial=0) <= 1 else 1)
    named = next((place[name] for name in COLOUR_ATTRIBUTES if name in place), None)
    if named is None or named.kind != "categorical":
        return None
    columns = spec.column_slices()[named.name]
    owners = real["attributes"][: len(theirs), columns] * real["known"][: len(theirs), columns]
    means = np.full((len(named.values), 3), np.nan)
    for value in range(len(named.values)):
        owned = [x.mean(axis=0) for x, o in zip(theirs, owners, strict=True) if o[value] and len(x)]
        if len(owned) >= MIN_COLOUR_EXAMPLES:
            means[value] = np.mean(owned, axis=0)
    found = means[asked["attributes"][:, columns].argmax(axis=1)]
    return np.where(asked["known"][:, columns].all(axis=1)[:, None], found, np.nan)


def _numbers(spec: Spec, attribute: Attribute, asked: Batch) -> np.ndarray:
    (column,) = range(*spec.column_slices()[attribute.name].indices(spec.num_columns))
    value = asked["attributes"][:, column] * attribute.std + attribute.mean
    return np.where(asked["known"][:, column], value, np.nan)


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")
