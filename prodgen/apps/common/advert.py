"""--mode=compose: an advert in one of the layouts of photo/poster.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from prodgen.apps.common import backgrounds, image_files, named_colours
from prodgen.apps.common.output import Output, say
from prodgen.apps.common.product_images import ProductImage
from prodgen.core.errors import UsageError
from prodgen.photo import banner, poster, text_block
from prodgen.photo.colour_areas import find_areas
from prodgen.photo.placement import PlacedProduct, describe_loose_sides
from prodgen.photo.text_block import Words

SOFT_SCALE = 1.5  # times: products that are enlarged more are reported, since they look soft
Colourway = tuple[ProductImage, dict[str, Any]]  # a product, and its entry of the manifest


def get_words(options: Any) -> Words:
    """The words of the flags, with single spaces."""
    texts = (options.headline, options.subline, options.price, options.button)
    return Words(*(" ".join(text.split()) for text in texts))


def write_poster(
    options: Any, colourways: list[Colourway], out: Output, name: str, source: str
) -> list[dict[str, Any]]:
    """Compose the advert, and write it with its entry of the manifest; its products' entries."""
    min_count, max_count = poster.LAYOUTS[options.layout]
    if len(colourways) < min_count:
        raise UsageError(
            f"--layout={options.layout} needs {min_count} products, and there is one",
            "name more images with --images, or choose --layout=hero",
        )
    if len(colourways) > max_count:
        say(f"--layout={options.layout} takes {max_count}: the first of {len(colourways)} stay")
        colourways = colourways[:max_count]
    width, height = banner.parse_size(options.size_name)
    background = backgrounds.parse_background(options.background)
    ground = backgrounds.render_background(background, (height, width))
    style = poster.Style(
        (options.font, options.font_bold),
        options.shadow,
        choose_accent(options.accent, colourways[0][0].pixels, ground),
        banner.RESERVED_FRACTIONS.get(options.size_name, (0.0, 0.0)),
    )
    products = [
        poster.PosterProduct(product.pixels, product.is_cut_off) for product, _ in colourways
    ]
    logo = read_logo(options.logo) if options.logo else None
    words = get_words(options)
    result = poster.make(products, ground, words, options.layout, style, logo)
    entry = {
        "layout": options.layout,
        "size": [width, height],
        "shadow": options.shadow,
        "background": options.background or backgrounds.DEFAULT_BACKGROUND,
        "products": describe_products(colourways, result.products, (height, width)),
        "words": dict(words.list_parts()),
        "text_boxes": [list(box) for box in result.text_boxes],
        "contrast": result.contrast,
        "veil": result.panel_opacity,
        "letters": result.font_size,
    }
    if result.logo_box:
        entry |= {"logo": options.logo, "logo_box": list(result.logo_box)}
    out.write_png(name, result.image, entry, source)
    return entry["products"]


def choose_accent(text: str, product: np.ndarray, ground: np.ndarray) -> Any:
    """The colour of --accent, or a legible shade of the dominant colour of a product uint8
    [h, w, 4]; None: none."""
    if text:
        return named_colours.parse_colour(text, "--accent", named_colours.BACKGROUND_COLOURS)
    inside = product[..., 3] > 127
    areas = find_areas(product[..., :3][inside])
    background = tuple(int(level) for level in np.median(ground.reshape(-1, 3), axis=0))
    dominant = areas.areas[areas.find_largest()]
    return text_block.choose_accent(dominant.rgb, background)


def read_logo(file: str) -> np.ndarray:
    """The logo in a file, uint8 [h, w, 4]; without alpha it is opaque."""
    image = image_files.read_named_image(file, "--logo", "name an image, best with alpha")
    rgb = image[..., :3] if image.shape[-1] > 1 else np.repeat(image, 3, axis=-1)
    alpha = image[..., 3] if image.shape[-1] == 4 else np.full(image.shape[:2], 255, np.uint8)
    return np.dstack([rgb, alpha])


def describe_products(
    colourways: Sequence[Colourway], placements: Sequence[PlacedProduct], shape: tuple[int, int]
) -> list[dict[str, Any]]:
    """For the manifest: where each product is in a frame (height, width), how much it was enlarged,
    and why a person should look at its place."""
    entries = []
    for (product, details), spot in zip(colourways, placements, strict=True):
        own_pixels = max(product.pixels.shape[:2])
        place = {"box": list(spot.box), "scale": round(spot.scale, 4), "own_pixels": own_pixels}
        doubt = describe_loose_sides(product.is_cut_off, spot.box, shape)
        entries.append(details | place | ({"layout_doubt": doubt} if doubt else {}))
        if spot.scale > SOFT_SCALE:
            times = f"{spot.scale:.1f} times"
            say(f"{product.file}: its {own_pixels} px are enlarged {times} and look soft")
    return entries
