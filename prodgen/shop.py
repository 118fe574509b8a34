"""Photos of products in a notebook: cut out, recoloured, on another background, checked, composed.

No run is needed. A photo is an array uint8 [H, W, 1 | 3 | 4] or the path of a file. One photo gives
one result; several, a list or [N, H, W, C], give a list of as many. A wrong argument is a
UsageError; a photo without a product is BadData that names it. Where a result has no field for
doubts, as with `background` and `compose`, they are warnings that name the photo.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import prodgen.photo.recolour
from prodgen.apps.common import advert, backgrounds, named_colours, product_images
from prodgen.apps.common.doubt_messages import describe_doubts
from prodgen.config import registry
from prodgen.core import decode
from prodgen.core.arguments import check_point, check_range, check_text, describe
from prodgen.core.errors import BadData, ProdgenError, RejectedItem, UsageError
from prodgen.metrics import marketplace
from prodgen.metrics.marketplace import Verdict
from prodgen.photo import (
    backdrop,
    background_removal,
    banner,
    colour_areas,
    cutout_relevance,
    poster,
    text_block,
)
from prodgen.photo.background_removal import Cutout
from prodgen.photo.colour_areas import ColourArea
from prodgen.photo.placement import describe_loose_sides

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
            cutout_relevance.split_cutout_doubts(cutout.quality, result.relevance)[0]
            + colour_areas.find_doubts(result.areas, result.area, is_named),
        )

    return _apply(recolour_one, photos)


def background(
    photos: Any, colour: Colour | np.ndarray | Path = "white", shadow: float = 0.4,
    method: str = "auto", model: str = "",
) -> np.ndarray | list[np.ndarray]:  # fmt: skip
    """Each product on another background, uint8 [H, W, 3], with a contact shadow in [0, 1].

    colour: a colour, the path of an image, or an image uint8 [H, W, 3], which covers the frame.
    Warns of a doubtful cut-out.
    """
    segmenter = _load_segmenter(method, model)
    check_range("shadow", shadow, 0.0, 1.0)
    is_image = isinstance(colour, np.ndarray) and colour.ndim == 3
    if not is_image:
        ground = colour if isinstance(colour, Path) else _parse_colour(colour, "colour")

    def replace(image: np.ndarray, index: int) -> np.ndarray:
        cutout, shape = background_removal.cut_out(image, segmenter), image.shape[:2]
        _warn(photos, index, {"cutout_doubt": "; ".join(cutout.quality.describe_doubts())})
        if is_image:
            behind = backdrop.cover(_check_image(colour, "colour")[..., :3], shape)
        else:
            behind = backgrounds.render_background(ground, shape)
        return backdrop.composite_with_shadow(cutout.rgba, behind, shadow)

    return _apply(replace, photos, with_index=True)


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
    font: str = "",
) -> np.ndarray:
    """One advert uint8 [H, W, 3] of all photos, in a layout of photo/poster.py.

    size: a name, as "story", or "1200x628". colour: of the background, or the path of an image.
    font: the path of a .ttf or .otf file; without it DejaVu Sans. Warns of doubtful cut-outs, and
    of products that their photo cuts off and that do not stand on that side.
    """
    texts = {"layout": layout, "size": size, "headline": headline, "subline": subline,
             "price": price, "button": button, "font": font}  # fmt: skip
    for name, text in texts.items():
        check_text(name, text)
    check_range("shadow", shadow, 0.0, 1.0)
    if layout not in poster.LAYOUTS:
        names = list(poster.LAYOUTS)
        raise UsageError(
            f"layout={layout!r} is not known; {registry.suggest_names(layout, names)}",
            f"one of {', '.join(names)}",
        )
    with _argument_names():
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
    segmenter = background_removal.load_segmenter("auto")
    products, entries = [], []
    for i, image in enumerate(images):
        pixels, sides, doubts = _try(product_images.assess_product, i, image, segmenter)
        products.append(poster.PosterProduct(pixels, sides))
        entries.append({"cutout_doubt": "; ".join(doubts)})
    accent = advert.choose_accent("", products[0].pixels, behind)
    free_parts = banner.RESERVED_FRACTIONS.get(size, (0.0, 0.0))
    words = text_block.Words(headline, subline, price, button)
    style = poster.Style((font, font), shadow, accent, free_parts)
    with _argument_names():
        result = poster.make(products, behind, words, layout, style)
    for i, (product, spot) in enumerate(zip(products, result.products, strict=True)):
        place = describe_loose_sides(product.is_cut_off, spot.box, (height, width))
        _warn(photos, i, entries[i] | {"layout_doubt": place})
    return result.image


@contextlib.contextmanager
def _argument_names() -> Iterator[None]:
    """Errors name arguments where the modes name flags: size=..., not --size=..."""
    try:
        yield
    except ProdgenError as error:
        texts = (
            re.sub(r"--([a-z_]+)", r"\1", text.replace("fewer with --n", "fewer photos"))
            for text in (str(error), error.next_step)
        )
        raise type(error)(*texts) from None


def _warn(photos: Any, index: int, entry: dict[str, str]) -> None:
    """A warning for each doubt about a photo, by its number and the name of its file.

    It is shown at the line that called the notebook's function.
    """
    photo = photos if _is_single(photos) else photos[index]
    file = f" ({Path(photo).name})" if isinstance(photo, (str, Path)) else ""
    package = str(Path(__file__).parent)
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    for sentence in describe_doubts(entry):
        warnings.warn(f"photo {index}{file}: {sentence}", stacklevel=level)


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
    is_single = _is_single(photos)
    if not is_single and not isinstance(photos, (list, tuple, np.ndarray)):
        raise UsageError(
            f"photos={photos!r} is no photo", "give an array, the path of a file, or a list of them"
        )
    items = [photos] if is_single else list(photos)
    return [_read(item, i) for i, item in enumerate(items)], is_single


def _is_single(photos: Any) -> bool:
    """Whether it is one photo: a path or an array."""
    is_array = isinstance(photos, np.ndarray) and photos.ndim <= 3
    return is_array or isinstance(photos, (str, Path))


def _read(item: Any, index: int) -> np.ndarray:
    """A photo uint8 [H, W, C] from an array or a file."""
    if isinstance(item, (str, Path)):
        return _try(decode.decode_file, index, Path(item), MAX_PIXELS)
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


def _apply(function: Callable, photos: Any, with_index: bool = False) -> Any:
    """A function of one image, for one photo or for each of several; with_index: and its number."""
    images, is_single = _to_images(photos)
    results = [
        _try(function, i, image, *([i] if with_index else [])) for i, image in enumerate(images)
    ]
    return results[0] if is_single else results


def _try(function: Callable, index: int, *arguments: Any) -> Any:
    """The function's value; a refusal as an error that names the photo."""
    try:
        return function(*arguments)
    except RejectedItem as refusal:
        raise BadData(f"photo {index}: {refusal}", "leave it out, or try another method") from None
