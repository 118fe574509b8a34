"""Adverts in four layouts: hero, pair, grid and story, with headline, price, button and logo.

In a wide frame the words stand at the left of the products. In an upright one headline and sub-line
stand above them, price and button below. Pure geometry and pixels: the same input gives the same
bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from prodgen.photo import backdrop, placement, text_block
from prodgen.photo.placement import (
    MARGIN_FRACTION,
    NO_SIDES,
    Box,
    PlacedProduct,
    Sides,
    box_size,
)
from prodgen.photo.text_block import Block, Words
from prodgen.photo.text_layout import Rgb

LAYOUTS = {"hero": (1, 1), "pair": (2, 2), "grid": (2, 12), "story": (1, 3)}  # products: from, to
MIN_ASPECT_BESIDE = {"hero": 1.2, "pair": 1.6, "grid": 1.4, "story": 9.0}  # width over height
TEXT_WIDTH = {"hero": 0.44, "pair": 0.34, "grid": 0.34, "story": 0.5}  # of the safe area, beside
HEAD_HEIGHT, FOOT_HEIGHT = 0.28, 0.16  # of the safe area, above and below the products
HEADLINE_FRACTION = 0.11  # of the root of the frame's area: its largest size
LOGO_HEIGHT, LOGO_WIDTH = 0.09, 0.3  # of the shorter side, at most
GAP_FRACTION = 0.045  # between words and products, of the shorter side


@dataclasses.dataclass(frozen=True)
class PosterProduct:
    """A trimmed product uint8 [h, w, 4]. is_cut_off: which borders of the photo cut it off."""

    pixels: np.ndarray
    is_cut_off: Sides = NO_SIDES


@dataclasses.dataclass(frozen=True)
class Poster:
    """image: uint8 [H, W, 3]. text_boxes: of the blocks of words; contrast: their least, WCAG's
    ratio, 0 without words; panel_opacity: the largest of the panels behind them, [0, 1]."""

    image: np.ndarray
    products: tuple[PlacedProduct, ...]
    text_boxes: tuple[Box, ...]
    logo_box: Box | None
    contrast: float
    panel_opacity: float
    font_size: int


@dataclasses.dataclass(frozen=True)
class Style:
    """How an advert looks. fonts: regular and bold file, "" for DejaVu Sans; shadow: [0, 1];
    accent: of price and button; reserved_fractions: of the height, above and below, that stay
    free."""

    fonts: tuple[str, str] = ("", "")
    shadow: float = 0.0
    accent: Rgb | None = None
    reserved_fractions: tuple[float, float] = (0.0, 0.0)


def make(
    products: Sequence[PosterProduct],
    background: np.ndarray,
    words: Words,
    layout: str,
    style: Style = Style(),  # noqa: B008
    logo: np.ndarray | None = None,
) -> Poster:
    """The advert on a background uint8 [H, W, 3]. logo: uint8 [h, w, 4].

    UsageError where words or products do not fit.
    """
    height, width = background.shape[:2]
    area = placement.find_safe_area((height, width), style.reserved_fractions)
    is_beside = box_size(area)[0] >= MIN_ASPECT_BESIDE[layout] * box_size(area)[1]
    gap = round(GAP_FRACTION * min(height, width))
    logo_box = None
    if logo is not None:
        logo_box = _place_logo(logo.shape[:2], area, min(height, width), is_beside)
    text_area = area if logo_box is None else (area[0], logo_box[3] + gap, area[2], area[3])
    max_size = round(HEADLINE_FRACTION * (height * width) ** 0.5)
    blocks, product_area = _place_words(
        words, style.fonts, layout, text_area, gap, max_size, is_beside
    )
    if is_beside:  # the logo stands over the words alone
        product_area = (product_area[0], area[1], *product_area[2:])
    placements = _place_products(products, product_area, (height, width), layout)

    pixels = [product.pixels for product in products]
    image = placement.composite(pixels, placements, background, style.shadow)
    if logo is not None and logo_box is not None:
        image = _paste(image, logo, logo_box)
    contrasts, opacities, align = [], [0.0], "left" if is_beside else "centre"
    for block, (left, block_top, _, _) in blocks:
        image, contrast, opacity = text_block.draw(
            image, block, left, block_top, align, style.accent
        )
        contrasts.append(contrast)
        opacities.append(opacity)
    return Poster(
        image, tuple(placements), tuple(box for _, box in blocks), logo_box,
        min(contrasts, default=0.0), max(opacities), max((b.size for b, _ in blocks), default=0),
    )  # fmt: skip


def _place_logo(shape: tuple[int, int], area: Box, shorter_side: int, is_left: bool) -> Box:
    """The box of a logo (height, width): in the upper left corner, or above in the middle."""
    scale = min(LOGO_HEIGHT * shorter_side / shape[0], LOGO_WIDTH * shorter_side / shape[1])
    height, width = (max(1, round(scale * side)) for side in shape)
    left = area[0] if is_left else (area[0] + area[2] - width) // 2
    return left, area[1], left + width, area[1] + height


def _place_words(
    words: Words, files: tuple[str, str], layout: str, area: Box, gap: int, max_size: int,
    is_beside: bool,
) -> tuple[list[tuple[Block, Box]], Box]:  # fmt: skip
    """The blocks of words with their boxes, and the area that remains for the products."""
    fonts_of = text_block.choose_fonts(words, *files)
    left, top, right, bottom = area
    width, height = box_size(area)
    if is_beside:
        if not words.list_parts():
            return [], area
        box = round(TEXT_WIDTH[layout] * width), height
        block = text_block.fit(words, fonts_of, box, max_size)
        start = top + (height - block.extent[1]) // 2
        own_box = (left, start, left + block.extent[0], start + block.extent[1])
        return [(block, own_box)], (left + max(box[0], block.extent[0]) + gap, top, right, bottom)
    blocks = []
    head = Words(words.headline, words.subline)
    foot = Words(price=words.price, button=words.button)
    if head.list_parts():
        block = text_block.fit(head, fonts_of, (width, round(HEAD_HEIGHT * height)), max_size)
        blocks.append((block, _centre(block, left, right, top)))
        top += block.extent[1] + gap
    if foot.list_parts():
        block = text_block.fit(foot, fonts_of, (width, round(FOOT_HEIGHT * height)), max_size)
        bottom -= block.extent[1]
        blocks.append((block, _centre(block, left, right, bottom)))
        bottom -= gap
    return blocks, (left, top, right, bottom)


def _centre(block: Block, left: int, right: int, top: int) -> Box:
    """The box of a block in the middle between left and right."""
    start = (left + right - block.extent[0]) // 2
    return start, top, start + block.extent[0], top + block.extent[1]


def _place_products(
    products: Sequence[PosterProduct], area: Box, frame: tuple[int, int], layout: str
) -> list[PlacedProduct]:
    """The products at equal visual size; one that its photo cut off stands on the frame's edge.

    frame: (height, width). That is below only where nothing stands below the products, and at the
    sides not in a grid, and not beside words.
    """
    is_grid = layout == "grid"
    order = range(len(products)) if is_grid else _sort_by_side(products)
    shapes = [products[i].pixels.shape[:2] for i in order]
    fills = [placement.measure_fill(products[i].pixels[..., 3]) for i in order]
    place = placement.place_in_grid if is_grid else placement.place_products
    placements = [spot for _, spot in sorted(zip(order, place(shapes, area, fills), strict=True),
                                             key=lambda pair: pair[0])]  # fmt: skip
    is_free_below = frame[0] - area[3] <= MARGIN_FRACTION * frame[0] + 1
    last_row = max(spot.box[3] for spot in placements)
    placements = [
        placement.stand_on_edge(spot, frame[0], area[1])
        if product.is_cut_off[2] and is_free_below and spot.box[3] == last_row
        else spot
        for spot, product in zip(placements, products, strict=True)
    ]
    return placements if is_grid else _move_to_sides(products, placements, area, frame)


def _sort_by_side(products: Sequence[PosterProduct]) -> list[int]:
    """Their numbers, those that the photo cut off on the left first, on the right last."""
    return sorted(
        range(len(products)),
        key=lambda i: int(products[i].is_cut_off[3]) - int(products[i].is_cut_off[1]),
    )


def _move_to_sides(
    products: Sequence[PosterProduct], placements: list[PlacedProduct], area: Box,
    frame: tuple[int, int],
) -> list[PlacedProduct]:  # fmt: skip
    """The places, at the frame's side where the photo cut a product off on that side alone."""
    margin = MARGIN_FRACTION * min(frame) + 1
    is_free = area[0] <= margin, frame[1] - area[2] <= margin
    spots = list(placements)
    for i, product in enumerate(products):
        at_left, at_right = product.is_cut_off[1], product.is_cut_off[3]
        if at_left != at_right and is_free[at_right]:
            others = [spot.box for j, spot in enumerate(spots) if j != i]
            spots[i] = placement.move_to_side(spots[i], others, frame[1], at_right)
    return spots


def _paste(image: np.ndarray, logo: np.ndarray, box: Box) -> np.ndarray:
    """A logo uint8 [h, w, 4] in its box of the image."""
    pixels = np.asarray(Image.fromarray(logo).resize(box_size(box), Image.Resampling.LANCZOS))
    return backdrop.composite_over(backdrop.place(pixels, image.shape[:2], box[1], box[0]), image)
