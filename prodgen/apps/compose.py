"""--mode=compose: an advert's banner, or a game's sprite sheet, from images of products.

Needs no run. --recolour shows each product in other colours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.apps.common import advert, backgrounds, image_files, named_colours, product_images
from prodgen.apps.common.doubt_messages import report_doubts
from prodgen.apps.common.option_groups import (
    MAX_IMAGES,
    CutoutOptions,
    PngOptions,
    images_option,
)
from prodgen.apps.common.output import Output, check_overwrite, say
from prodgen.apps.common.product_images import ProductImage
from prodgen.cli.options import option
from prodgen.core.errors import UsageError
from prodgen.core.file_names import add_hash, decode_name
from prodgen.photo import (
    background_removal,
    banner,
    colour_areas,
    fonts,
    poster,
    recolour,
    sprites,
    text_block,
)

# Unless --n gives another number.
MAX_PRODUCTS = {"banner": 4, "sprites": 256} | {name: n for name, (_, n) in poster.LAYOUTS.items()}
ORIGINAL = "original"  # among the colours of --recolour: the product as it is
POSTERS = tuple(poster.LAYOUTS)
BANNER, SPRITES = {"layout": ("banner",)}, {"layout": ("sprites",)}
POSTER, ANY_FRAME = {"layout": POSTERS}, {"layout": ("banner", *POSTERS)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(CutoutOptions, PngOptions):
    """Of --mode=compose."""

    images: tuple[str, ...] = images_option("image")
    n: int = option(0, "Products; 0: as many as the layout takes.", low=0, high=MAX_IMAGES)
    layout: str = option(
        "banner", "What is composed.", choices=("banner", "sprites", *poster.LAYOUTS)
    )
    size: str = option(
        "", "A name, as story, or WIDTHxHEIGHT; default: square, of layout story: story.",
        read_with=ANY_FRAME,
    )  # fmt: skip
    background: str = option("", "A colour's name, #rrggbb or a file.", read_with=ANY_FRAME)
    text: str = option("", "The words of the banner.", read_with=BANNER)
    headline: str = option("", "The largest words.", read_with=POSTER)
    subline: str = option("", "Smaller words below the headline.", read_with=POSTER)
    price: str = option("", "The price, as it is to be read.", read_with=POSTER)
    button: str = option("", "The words on a button.", read_with=POSTER)
    logo: str = option("", "An image with alpha, for a corner.", read_with=POSTER)
    accent: str = option(
        "", "Colour of price and button; default: the first product's.", read_with=POSTER
    )
    font: str = option("", "A .ttf or .otf file; default: DejaVu Sans.", read_with=ANY_FRAME)
    font_bold: str = option("", "The same font in bold.", read_with=POSTER)
    shadow: float = option(0.4, "Strength of the shadow.", low=0.0, high=1.0, read_with=ANY_FRAME)
    recolour: tuple[str, ...] = option((), "Colours of each product, as red,#203a5f.")
    cell: int = option(
        128, "Side of a sprite, pixels: a power of two.", low=16, high=1024, read_with=SPRITES
    )
    padding: int = option(2, "Clear pixels around a sprite.", low=0, high=64, read_with=SPRITES)
    extrude: int = option(
        0, "Pixels that repeat the edge of a sprite.", low=0, high=16, read_with=SPRITES
    )

    @property
    def output(self) -> str:
        return f"{self.layout}.png"

    @property
    def size_name(self) -> str:
        """--size, or its default."""
        return self.size or ("story" if self.layout == "story" else "square")

    def check(self, workdir: Path | None) -> None:
        """Everything about the flags that can be wrong, before an image is read."""
        super().check(workdir)
        if not any(self.images):
            raise UsageError("--mode=compose needs --images", "name images or a folder of them")
        banner.parse_size(self.size_name)
        for name in set(self.recolour) - {ORIGINAL}:
            named_colours.parse_colour(name, "--recolour")
        if self.cell not in sprites.CELL_SIZES:
            sizes = ", ".join(map(str, sprites.CELL_SIZES))
            raise UsageError(f"--cell={self.cell} is not a power of two", f"one of {sizes}")
        fonts.choose(self.text, self.font)
        text_block.choose_fonts(advert.get_words(self), self.font, self.font_bold)
        if self.accent:
            named_colours.parse_colour(self.accent, "--accent", named_colours.BACKGROUND_COLOURS)
        backgrounds.parse_background(self.background)


def run(model: None, options: Options, out: Output) -> list[Path]:
    """Write banner.png, or sprites.png and its atlas sprites.json; --out names another file."""
    target = out.locate(options.output)
    names = [target.name] + ([f"{target.stem}.json"] if options.layout == "sprites" else [])
    check_overwrite(target.parent, names, out.mode)

    # What this mode has written beside the target before is no product image.
    own_files = out.list_own_files()
    files = image_files.list_images(options.images, "--images", own_paths=own_files)
    limit = options.n or MAX_PRODUCTS[options.layout]
    segmenter = background_removal.load_segmenter(options.cutout, options.model)
    products = product_images.read_products(files, limit, segmenter)
    if len(files) > limit:
        say(f"the first {limit} of {len(files)} images are used; --n sets another number")

    colourways = [
        way for product in products for way in recolour_product(product, options.recolour)
    ]
    is_synthetic = any(product.is_generated for product in products)
    source = "composed of generated pictures" if is_synthetic else "composed"
    writers = {"banner": write_banner, "sprites": write_sprites}
    write = writers.get(options.layout, advert.write_poster)
    report_doubts(write(options, colourways, out, target.name, source))
    return out.close()


def recolour_product(
    product: ProductImage, names: Sequence[str]
) -> list[tuple[ProductImage, dict[str, Any]]]:
    """The product in each colour, or as it is without names, with its entry of the manifest."""
    colourways = []
    # A file called shoe-red would have the name of shoe in red.
    colours = tuple(f"-{name.lstrip('#')}" for name in names)
    own_name = add_hash(product.name) if product.name.endswith(colours) else product.name
    product = dataclasses.replace(product, name=own_name)
    doubt = {"cutout_doubt": "; ".join(product.doubts)} if product.doubts else {}
    for name in names or [ORIGINAL]:
        if name == ORIGINAL:
            details = {"name": product.name, "file": product.file} | doubt
            colourways.append((product, details))
            continue
        target = named_colours.parse_colour(name, "--recolour")
        rgb, alpha = product.pixels[..., :3], product.pixels[..., 3]
        result = recolour.recolour(rgb, alpha > 0, target, region="dominant")
        colour_doubts = colour_areas.find_doubts(result.areas, result.area, False)
        change = f"{result.delta_e_before:.1f} to {result.delta_e_after:.1f}"
        say(f"{product.file} in {name}: CIEDE2000 {change}")
        details = {
            "name": f"{product.name}-{name.lstrip('#')}",
            "file": product.file,
            "recolour": name,
            "ciede2000": round(result.delta_e_after, 3),
            "share": round(result.region_fraction, 4),
            "outside": round(result.outside_change.largest, 3),
            "from_colour": colour_areas.format_area(result.areas[result.area]),
        } | doubt
        details |= {"doubt": "; ".join(colour_doubts)} if colour_doubts else {}
        pixels = np.dstack([result.image, alpha])
        colourway = dataclasses.replace(product, name=details["name"], pixels=pixels)
        colourways.append((colourway, details))
    return colourways


def write_banner(
    options: Options,
    colourways: list[tuple[ProductImage, dict]],
    out: Output,
    name: str,
    source: str,
) -> list[dict[str, Any]]:
    """Compose the products and the text on the background; write the banner. Its products'
    entries of the manifest."""
    width, height = banner.parse_size(options.size_name)
    background = backgrounds.parse_background(options.background)
    composition = banner.make(
        [product.pixels for product, _ in colourways],
        backgrounds.render_background(background, (height, width)),
        " ".join(options.text.split()),
        fonts.choose(options.text, options.font),
        options.shadow,
        banner.RESERVED_FRACTIONS.get(options.size_name, (0.0, 0.0)),
    )
    entries = advert.describe_products(colourways, composition.products, (height, width))
    entry = {
        "layout": "banner",
        "size": [width, height],
        "shadow": options.shadow,
        "background": options.background or backgrounds.DEFAULT_BACKGROUND,
        "products": entries,
    }
    if composition.text_box:
        entry |= {
            "text": options.text,
            "text_box": composition.text_box,
            "contrast": composition.contrast,
            "veil": composition.panel_opacity,
            "letters": composition.font_size,
        }
    out.write_png(name, composition.image, entry, source)
    return entries


def write_sprites(
    options: Options,
    colourways: list[tuple[ProductImage, dict]],
    out: Output,
    name: str,
    source: str,
) -> list[dict[str, Any]]:
    """Write the sheet of sprites and its atlas; the sprites' entries of the manifest."""
    border = options.padding + options.extrude
    cells = [sprites.fit_to_cell(product.pixels, options.cell, border) for product, _ in colourways]
    sheet, boxes = sprites.pack_sheet(cells, options.cell, options.extrude)
    entries = [
        entry | {"box": list(box)} for (_, entry), box in zip(colourways, boxes, strict=True)
    ]
    names = [product.name for product, _ in colourways]
    files = [decode_name(product.file) for product, _ in colourways]
    details = {"layout": "sprites", "cell": options.cell, "sprites": entries}
    size = sheet.shape[1], sheet.shape[0]
    atlas = sprites.encode_atlas(names, files, boxes, options.cell, decode_name(name), size)
    out.write_png(name, sheet, details, source)
    out.write(f"{Path(name).stem}.json", atlas, {"layout": "sprites", "atlas_of": name})
    return entries
