"""--mode=compose: an advert's banner, or a game's sprite sheet, from images of products.

Needs no run. --recolour shows each product in other colours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.apps.common import backgrounds, image_files, named_colours, product_images
from prodgen.apps.common.option_groups import MAX_IMAGES, PngOptions, images_option
from prodgen.apps.common.output import Output, check_overwrite, say
from prodgen.apps.common.product_images import ProductImage
from prodgen.cli.options import option
from prodgen.core.errors import UsageError
from prodgen.core.file_names import add_hash, decode_name
from prodgen.photo import banner, recolour, sprites, text_layout

MAX_PRODUCTS = {"banner": 4, "sprites": 256}  # unless --n gives another number
ORIGINAL = "original"  # among the colours of --recolour: the product as it is
SOFT_SCALE = 1.5  # times: products that are enlarged more are reported, since they look soft
BANNER, SPRITES = {"layout": ("banner",)}, {"layout": ("sprites",)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PngOptions):
    """Of --mode=compose."""

    images: tuple[str, ...] = images_option("image")
    n: int = option(0, "Products; 0: 4 on a banner, 256 on a sprite sheet.", low=0, high=MAX_IMAGES)
    layout: str = option("banner", "What is composed.", choices=("banner", "sprites"))
    size: str = option("square", "A name, as story, or WIDTHxHEIGHT.", read_with=BANNER)
    background: str = option("", "A colour's name, #rrggbb or a file.", read_with=BANNER)
    text: str = option("", "The words of the banner.", read_with=BANNER)
    font: str = option("", "A .ttf or .otf file.", read_with=BANNER)
    shadow: float = option(0.4, "Strength of the shadow.", low=0.0, high=1.0, read_with=BANNER)
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

    def check(self, workdir: Path | None) -> None:
        """Everything about the flags that can be wrong, before an image is read."""
        if not any(self.images):
            raise UsageError("--mode=compose needs --images", "name images or a folder of them")
        banner.parse_size(self.size)
        for name in set(self.recolour) - {ORIGINAL}:
            named_colours.parse_colour(name, "--recolour")
        if self.cell not in sprites.CELL_SIZES:
            sizes = ", ".join(map(str, sprites.CELL_SIZES))
            raise UsageError(f"--cell={self.cell} is not a power of two", f"one of {sizes}")
        text_layout.check_glyphs(self.text, self.font)
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
    products = product_images.read_products(files, limit)
    if len(files) > limit:
        say(f"the first {limit} of {len(files)} images are used; --n sets another number")

    colourways = [
        way for product in products for way in recolour_product(product, options.recolour)
    ]
    is_synthetic = any(product.is_generated for product in products)
    source = "composed of generated pictures" if is_synthetic else "composed"
    write = write_banner if options.layout == "banner" else write_sprites
    write(options, colourways, out, target.name, source)
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
    for name in names or [ORIGINAL]:
        if name == ORIGINAL:
            details = {"name": product.name, "file": product.file}
            colourways.append((product, details))
            continue
        target = named_colours.parse_colour(name, "--recolour")
        rgb, alpha = product.pixels[..., :3], product.pixels[..., 3]
        result = recolour.recolour(rgb, alpha > 0, target, region="dominant")
        change = f"{result.delta_e_before:.1f} to {result.delta_e_after:.1f}"
        say(f"{product.file} in {name}: CIEDE2000 {change}")
        details = {
            "name": f"{product.name}-{name.lstrip('#')}",
            "file": product.file,
            "recolour": name,
            "ciede2000": round(result.delta_e_after, 3),
            "share": round(result.region_fraction, 4),
            "outside": round(result.outside_change.largest, 3),
        }
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
) -> None:
    """Compose the products and the text on the background; write the banner."""
    width, height = banner.parse_size(options.size)
    background = backgrounds.parse_background(options.background)
    composition = banner.make(
        [product.pixels for product, _ in colourways],
        backgrounds.render_background(background, (height, width)),
        " ".join(options.text.split()),
        options.font,
        options.shadow,
        banner.RESERVED_FRACTIONS.get(options.size, (0.0, 0.0)),
    )
    # The manifest says where each product is, and how much it was enlarged.
    entries = []
    for (product, details), placement in zip(colourways, composition.products, strict=True):
        own_pixels = max(product.pixels.shape[:2])
        entries.append(
            details
            | {
                "box": list(placement.box),
                "scale": round(placement.scale, 4),
                "own_pixels": own_pixels,
            }
        )
        if placement.scale > SOFT_SCALE:
            times = f"{placement.scale:.1f} times"
            say(f"{product.file}: its {own_pixels} px are enlarged {times} and look soft")
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


def write_sprites(
    options: Options,
    colourways: list[tuple[ProductImage, dict]],
    out: Output,
    name: str,
    source: str,
) -> None:
    """Write the sheet of sprites and its atlas."""
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
