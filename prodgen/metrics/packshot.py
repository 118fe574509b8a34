"""The quality of a set of packshots: medians of the product measures, and colour differences.

One image's measures are those of metrics/product.py. Colours are compared as CIEDE2000.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prodgen.core.types import Attribute, Batch, Spec
from prodgen.metrics import product
from prodgen.photo import colorimetry, dominant_colours, silhouette

MAX_IMAGES = 200  # of a set that are measured: medians need no more
COLOUR_ATTRIBUTES = ("colour", "color")  # names of a categorical colour attribute
COLOUR_CHANNELS = ("colour_r", "colour_g", "colour_b")  # numbers, of 255 or of 1
MIN_COLOUR_EXAMPLES = 3  # real images that define a colour's name
MAX_PALETTE_PIXELS = 200_000  # of a set's products, for its palette


def summarise(images: np.ndarray) -> dict[str, float]:
    """Medians over the images uint8 [N, R, R, C] that show a product, and their share, `shown`.

    fill and area are shares of the frame, off_centre the larger offset as a share of the side,
    white_mean levels from white, evenness and halo levels, blur pixels. Of the first 200 images;
    nan where none is measurable. Images under 16 pixels a side: ValueError.
    """
    measures_of_all = [product.measure(image) for image in images[:MAX_IMAGES]]
    with_product = [measures for measures in measures_of_all if not measures.blank]
    names = ("white_mean", "evenness", "fill", "area", "halo", "blur")
    return {
        "shown": len(with_product) / len(measures_of_all),
        "off_centre": _median([max(map(abs, measures.offset)) for measures in with_product]),
        **{name: _median([getattr(measures, name) for measures in with_product]) for name in names},
    }


def colour_differences(
    spec: Spec, images: np.ndarray, conditions: Batch | None, real: Batch
) -> dict[str, float]:
    """Colour differences, CIEDE2000, of images uint8 [N, R, R, 3].

    `palette`: between the palettes of all products of the images and of the `real` ones.
    `colour`: the median difference of a product's mean colour to the requested one, where the
    `conditions` contain a colour. nan or left out where there is nothing to compare.
    """
    pixels, real_pixels = (
        [product_pixels(image) for image in side[:MAX_IMAGES]] for side in (images, real["image"])
    )
    # Palettes of every k-th pixel of all products: they need no more.
    differences = {"palette": float("nan")}
    sides = [np.concatenate(side) for side in (pixels, real_pixels)]
    if all(map(len, sides)):
        samples = [side[:: -(-len(side) // MAX_PALETTE_PIXELS)] for side in sides]
        palettes = map(dominant_colours.extract_palette, samples)
        differences["palette"] = dominant_colours.palette_difference(*palettes)
    if conditions is None:
        return differences
    colours = _requested_colours(spec, conditions, real, real_pixels)
    if colours is not None:
        differences["colour"] = _median([
            colorimetry.mean_colour_difference(product, rgb)
            for product, rgb in zip(pixels, colours, strict=False)
            if len(product) and np.isfinite(rgb).all()
        ])  # fmt: skip
    return differences


def product_pixels(image: np.ndarray) -> np.ndarray:
    """The pixels uint8 [n, 3] of the product in an image uint8 [R, R, 3]; n is 0 without one."""
    return image[silhouette.find_silhouette(image).mask]


def _requested_colours(
    spec: Spec, conditions: Batch, real: Batch, real_pixels: list[np.ndarray]
) -> np.ndarray | None:
    """The requested sRGB colours float [N, 3], nan where unknown; None without colour attributes.

    A colour's name stands for the mean colour of the real products of that name.
    """
    attributes = {attribute.name: attribute for attribute in spec.attributes}
    if all(name in attributes and attributes[name].kind == "number" for name in COLOUR_CHANNELS):
        colours, real_colours = (
            np.stack([_decode(spec, attributes[name], side) for name in COLOUR_CHANNELS], axis=1)
            for side in (conditions, real)
        )
        return colours * (255 if np.nanmax(real_colours, initial=0) <= 1 else 1)
    attribute = next((attributes[name] for name in COLOUR_ATTRIBUTES if name in attributes), None)
    if attribute is None or attribute.kind != "categorical":
        return None
    # The mean colour of the real products of each name, nan where they are too few.
    columns, count = spec.column_slices()[attribute.name], len(real_pixels)
    one_hot = real["attributes"][:count, columns] * real["known"][:count, columns]
    means = np.full((len(attribute.values), 3), np.nan)
    for value in range(len(attribute.values)):
        colours = [
            pixels.mean(axis=0)
            for pixels, row in zip(real_pixels, one_hot, strict=True)
            if row[value] and len(pixels)
        ]
        if len(colours) >= MIN_COLOUR_EXAMPLES:
            means[value] = np.mean(colours, axis=0)
    colours = means[conditions["attributes"][:, columns].argmax(axis=1)]
    return np.where(conditions["known"][:, columns].all(axis=1)[:, None], colours, np.nan)


def _decode(spec: Spec, attribute: Attribute, conditions: Batch) -> np.ndarray:
    """The values float [N] of a number in its own unit, nan where unknown."""
    (column,) = range(*spec.column_slices()[attribute.name].indices(spec.num_columns))
    value = conditions["attributes"][:, column] * attribute.std + attribute.mean
    return np.where(conditions["known"][:, column], value, np.nan)


def _median(values: Sequence[float]) -> float:
    finite = [value for value in values if not np.isnan(value)]
    return float(np.median(finite)) if finite else float("nan")
