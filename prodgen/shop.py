"""Photos of products in a notebook: cut out, recoloured, on another background, checked, composed.

No run is needed. A photo is an array uint8 [H, W, 1 | 3 | 4] or the path of a file. One photo gives
one result; several, a list or [N, H, W, C], give a list of as many. A wrong argument is a
UsageError; a photo without a product is BadData that names it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import prodgen.photo.recolour
from prodgen.apps.common import advert, backgrounds, named_colours, product_images
from prodgen.config import registry
from prodgen.core import decode
from prodgen.core.arguments import check_point, check_range, check_text, describe
from prodgen.core.errors import BadData, RejectedItem, UsageError
from prodgen.metrics import marketplace
from prodgen.metrics.marketplace import Verdict
from prodgen.photo import backdrop, background_removal, banner, colour_areas, poster, text_block
from prodgen.photo.background_removal import Cutout
from prodgen.photo.colour_areas import ColourArea

MAX_PIXELS = 50_000_000
Colour = str | Sequence[int]  # a name, "#rrggbb", or three levels of 0 to 255


@dataclasses.dataclass(frozen=True)
class RecolouredPhoto:
    """image: uint8 [H, W, 3]. ciede2000: of the mean of what was changed to the colour.

    area: the colour that was changed and its share of the product, others: the product's other
    ones. doubts: why a person should look at it; empty where there is no reason.
    """

    image: np.ndarray
    ciede2000: float
    area: ColourArea
    others: tuple[ColourArea, ...]
    doubts: tuple[str, ...]


def cut_out(photos: Any, method: str = "auto", model: str = "") -> Cutout | list[Cutout]:
    """The product of each photo: `.rgba` uint8 [H, W, 4], and its `.quality.findings`.

    method: a name in registry.CUTOUTS; model: the file that `neural` needs and
    `auto` uses; without it `auto` combines plain and grabcut.
    """
    segmenter = _load_segmenter(method, model)
    return _apply(lambda image: background_removal.cut_out(image, segmenter), photos)


def recolour(
    photos: Any,
    colour: Colour,
    source: Colour | None = None,
    point: tuple[int, int] | None = None,
    strength: float = 1.0,
    method: str = "auto",
    model: str = "",
) -> RecolouredPhoto | list[RecolouredPhoto]:
    """Each photo with one colour of its product turned into another.

    source, point: the colour that is meant, by its nearest colour or at (x, y); without them the
    dominant one. strength: the share of the change, [0, 1].
    """
    segmenter, target = _load_segmenter(method, model), _parse_colour(colour, "colour")
    check_range("strength", strength, 0.0, 1.0)
    origin = None if source is None else _parse_colour(source, "source")
    place = None if point is None else check_point("point", point)
    if origin is not None and place is not None:
        raise UsageError("source and point say the same in two ways", "give one of them")

    def recolour_one(image: np.ndarray) -> RecolouredPhoto:
        cutout = background_removal.cut_out(image, segmenter)
        alpha = cutout.alpha
        rgb = np.ascontiguousarray(np.broadcast_to(image[..., :3], (*image.shape[:2], 3)))
        result = prodgen.photo.recolour.recolour(
            rgb, alpha, target, strength, "dominant", origin, place
        )
        is_named = origin is not None or place is not None
        return RecolouredPhoto(
            result.image,
            result.delta_e_after,
            result.areas[result.area],
            result.other_areas,
            cutout.quality.describe_doubts()
            + colour_areas.find_doubts(result.areas, result.area, is_named),
        )

    return _apply(recolour_one, photos)


def background(
    photos: Any, colour: Colour | np.ndarray | Path = "white", shadow: float = 0.4,
    method: str = "auto", model: str = "",
) -> np.ndarray | list[np.ndarray]:  # fmt: skip
    """Each product on another background, uint8 [H, W, 3], with a contact shadow in [0, 1].

    colour: a colour, the path of an image, or an image uint8 [H, W, 3], which covers the frame.
    """
    segmenter = _load_segmenter(method, model)
    check_range("shadow", shadow, 0.0, 1.0)
    is_image = isinstance(colour, np.ndarray) and colour.ndim == 3
    if not is_image:
        ground = colour if isinstance(colour, Path) else _parse_colour(colour, "colour")

    def replace(image: np.ndarray) -> np.ndarray:
        product, shape = background_removal.cut_out(image, segmenter).rgba, image.shape[:2]
        if is_image:
            behind = backdrop.cover(_check_image(colour, "colour")[..., :3], shape)
        else:
            behind = backgrounds.render_background(ground, shape)
        return backdrop.composite_with_shadow(product, behind, shadow)

    return _apply(replace, photos)


def check(photos: Any, profile: str = "white_main") -> Verdict | list[Verdict]:
    """The verdict of each photo by the rules of a marketplace: `.passes`, `.reasons`."""
    names = list(marketplace.PROFILES)
    check_text("profile", profile)
    if profile not in names:
        raise UsageError(
            f"profile={profile!r} is not known; {registry.suggest_names(profile, names)}",
            f"choose one of {', '.join(names)}",
        )
    return _apply(lambda image: marketplace.check(image, profile), photos)


def compose(
    photos: Any,
    layout: str = "hero",
    size: str = "square",
    colour: Colour | Path = "white",
    headline: str = "",
    subline: str = "",
    price: str = "",
    button: str = "",
    shadow: float = 0.4,
) -> np.ndarray:
    """One advert uint8 [H, W, 3] of all photos, in a layout of photo/poster.py.

    size: a name, as "story", or "1200x628". colour: of the background, or the path of an image.
    """
    texts = {"layout": layout, "size": size, "headline": headline, "subline": subline,
             "price": price, "button": button}  # fmt: skip
    for name, text in texts.items():
        check_text(name, text)
    check_range("shadow", shadow, 0.0, 1.0)
    if layout not in poster.LAYOUTS:
        names = list(poster.LAYOUTS)
        raise UsageError(
            f"layout={layout!r} is not known; {registry.suggest_names(layout, names)}",
            f"one of {', '.join(names)}",
        )
    width, height = banner.parse_size(size)
    ground = colour if isinstance(colour, Path) else _parse_colour(colour, "colour")
    behind = backgrounds.render_background(ground, (height, width))
    images, _ = _to_images(photos)
    low, high = poster.LAYOUTS[layout]
    if not low <= len(images) <= high:
        raise UsageError(
            f"layout={layout} takes {low} to {high} photos, not {len(images)}",
            "give another number, or another layout",
        )
    products = [
        poster.PosterProduct(*_try(product_images.cut_out_product, image, i))
        for i, image in enumerate(images)
    ]
    accent = advert.choose_accent("", products[0].pixels, behind)
    free_parts = banner.RESERVED_FRACTIONS.get(size, (0.0, 0.0))
    words = text_block.Words(headline, subline, price, button)
    style = poster.Style(shadow=shadow, accent=accent, reserved_fractions=free_parts)
    return poster.make(products, behind, words, layout, style).image


def _load_segmenter(method: str, model: str) -> Any:
    check_text("method", method)
    if method not in registry.CUTOUTS:
        names = list(registry.CUTOUTS)
        raise UsageError(
            f"method={method!r} is not known; {registry.suggest_names(method, names)}",
            f"choose one of {', '.join(names)}",
        )
    return background_removal.load_segmenter(method, model)


def _parse_colour(colour: Any, name: str) -> tuple[int, int, int]:
    """sRGB levels of a name, of "#rrggbb", or of three numbers."""
    if isinstance(colour, str):
        return named_colours.parse_colour(colour, name, named_colours.BACKGROUND_COLOURS)
    levels = np.asarray(colour)
    is_colour = levels.shape == (3,) and np.issubdtype(levels.dtype, np.number)
    if not is_colour or not ((levels >= 0) & (levels <= 255)).all():
        raise UsageError(
            f"{name}={colour!r} is no colour", "give a name, #rrggbb or three levels of 0 to 255"
        )
    red, green, blue = (int(level) for level in levels)
    return red, green, blue


def _to_images(photos: Any) -> tuple[list[np.ndarray], bool]:
    """The photos as arrays, and whether a single one was given."""
    is_single = isinstance(photos, (str, Path)) or (
        isinstance(photos, np.ndarray) and photos.ndim <= 3
    )
    if not is_single and not isinstance(photos, (list, tuple, np.ndarray)):
        raise UsageError(
            f"photos={photos!r} is no photo", "give an array, the path of a file, or a list of them"
        )
    items = [photos] if is_single else list(photos)
    return [_read(item, i) for i, item in enumerate(items)], is_single


def _read(item: Any, index: int) -> np.ndarray:
    """A photo uint8 [H, W, C] from an array or a file."""
    if isinstance(item, (str, Path)):
        return _try(lambda path: decode.decode_file(path, MAX_PIXELS), Path(item), index)
    return _check_image(item, f"photo {index}")


def _check_image(image: Any, name: str) -> np.ndarray:
    array = np.asarray(image)
    if array.dtype == np.uint8 and array.ndim == 2:
        return array[..., None]
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise UsageError(
            f"{name} must be uint8 [H, W, 1, 3 or 4] or a path, not {describe(array)}",
            "convert it with np.uint8, or name its file",
        )
    return array


def _apply(function: Callable, photos: Any) -> Any:
    """A function of one image, for one photo or for each of several."""
    images, is_single = _to_images(photos)
    results = [_try(function, image, i) for i, image in enumerate(images)]
    return results[0] if is_single else results


def _try(function: Callable, argument: Any, index: int) -> Any:
    """The function's value; a refusal as an error that names the photo."""
    try:
        return function(argument)
    except RejectedItem as refusal:
        raise BadData(f"photo {index}: {refusal}", "leave it out, or try another method") from None
