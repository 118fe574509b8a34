"""--mode=compose: an advert's banner, or a game's sprite sheet, from pictures of products.

Needs no run. --recolour shows each product in other colours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.apps.common import colours, grounds, subjects
from prodgen.apps.common.options import MAX_IMAGES, PngOptions
from prodgen.apps.common.output import MANIFEST, Output, entries, refuse_taken, say
from prodgen.apps.common.subjects import Subject
from prodgen.cli.options import option
from prodgen.core.errors import UsageError
from prodgen.photo import banner, recolour, sprites, text_layout

SHOWN = {"banner": 4, "sprites": 256}  # products, unless --n asks for others
ORIGINAL = "original"  # among the colours of --recolour: the product as it is
ENLARGED = 1.5  # times: beyond, a product looks soft, and it is said
BANNER, SPRITES = {"layout": ("banner",)}, {"layout": ("sprites",)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(PngOptions):
    """Of --mode=compose."""

    images: str = option("", "A folder of images, an image, or several separated by commas.")
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
        if not self.images:
            raise UsageError("--mode=compose needs --images", "name pictures or a folder of them")
        checked(self)


def run(model: None, options: Options, out: Output) -> list[Path]:
    """Write banner.png, or sprites.png and its atlas sprites.json; --out names another file."""
    target = out.locate(options.output)
    names = [target.name] + ([f"{target.stem}.json"] if options.layout == "sprites" else [])
    refuse_taken(target.parent, names, out.mode)
    paths = subjects.listed(options.images, _own(target))
    limit = options.n or SHOWN[options.layout]
    found = subjects.read(paths, limit)
    if len(paths) > limit:
        say(f"the first {limit} of {len(paths)} pictures are on it; --n takes others")
    shown = [one for subject in found for one in in_colours(subject, options.recolour)]
    made = any(subject.generated for subject in found)
    done = "composed of generated pictures" if made else "composed"
    write = _banner if options.layout == "banner" else _sprites
    write(options, shown, out, target.name, done)
    return out.close()


def checked(options: Options) -> None:
    """Everything about the flags that can be wrong, before a picture is read."""
    banner.parse_size(options.size)
    for name in set(options.recolour) - {ORIGINAL}:
        colours.parse(name, "--recolour")
    if options.cell not in sprites.CELL_SIZES:
        known = ", ".join(map(str, sprites.CELL_SIZES))
        raise UsageError(f"--cell={options.cell} is not a power of two", f"one of {known}")
    text_layout.check_glyphs(options.text, options.font)
    grounds.parse(options.background)


def _own(target: Path) -> set[Path]:
    """What this mode has written beside the target before, which is no product picture."""
    written = entries(target.parent / MANIFEST)
    names = [name for name, entry in written.items() if entry.get("mode") == "compose"]
    return {(target.parent / name).resolve() for name in names}


def in_colours(subject: Subject, names: Sequence[str]) -> list[tuple[Subject, dict[str, Any]]]:
    """The subject in each colour, or as it is, with what the manifest says about it."""
    if not names:
        return [(subject, {"name": subject.name})]
    found = []
    for name in names:
        if name == ORIGINAL:
            found.append((subject, {"name": subject.name}))
            continue
        asked = colours.parse(name, "--recolour")
        pixels, alpha = subject.pixels[..., :3], subject.pixels[..., 3]
        done = recolour.recolour(pixels, alpha > 0, asked, region="dominant")
        say(
            f"{subject.name} in {name}: "
            f"CIEDE2000 {done.delta_e_before:.1f} to {done.delta_e_after:.1f}"
        )
        details = {
            "name": f"{subject.name}-{name.lstrip('#')}",
            "recolour": name,
            "ciede2000": round(done.delta_e_after, 3),
            "share": round(done.region_fraction, 4),
            "outside": round(done.outside_change.largest, 3),
        }
        changed = np.dstack([done.image, alpha])
        found.append((Subject(details["name"], changed, subject.generated), details))
    return found


def _banner(
    options: Options, shown: list[tuple[Subject, dict]], out: Output, name: str, done: str
) -> None:
    width, height = banner.parse_size(options.size)
    made = banner.make(
        [subject.pixels for subject, _ in shown],
        grounds.drawn(grounds.parse(options.background), (height, width)),
        " ".join(options.text.split()),
        options.font,
        options.shadow,
        banner.RESERVED_FRACTIONS.get(options.size, (0.0, 0.0)),
    )
    products = []
    for (subject, details), placed in zip(shown, made.products, strict=True):
        own = max(subject.pixels.shape[:2])
        at = {"box": list(placed.box), "scale": round(placed.scale, 4), "own_pixels": own}
        products.append(details | at)
        if placed.scale > ENLARGED:
            say(f"{subject.name}: its {own} px are enlarged {placed.scale:.1f} times and look soft")
    words = {"text": options.text, "text_box": made.text_box, "contrast": made.contrast,
             "veil": made.panel_opacity, "letters": made.font_size}  # fmt: skip
    frame = {"layout": "banner", "size": [width, height], "shadow": options.shadow,
             "background": options.background or grounds.WHITE, "products": products}  # fmt: skip
    out.png(name, made.image, frame | (words if made.text_box else {}), done)


def _sprites(
    options: Options, shown: list[tuple[Subject, dict]], out: Output, name: str, done: str
) -> None:
    border = options.padding + options.extrude
    cut = [sprites.fit_to_cell(subject.pixels, options.cell, border) for subject, _ in shown]
    sheet, places = sprites.pack_sheet(cut, options.cell, options.extrude)
    names = _distinct([details["name"] for _, details in shown])
    details = {"layout": "sprites", "cell": options.cell, "sprites": [
        entry | {"name": own, "box": list(place)}
        for (_, entry), own, place in zip(shown, names, places, strict=True)
    ]}  # fmt: skip
    size = sheet.shape[1], sheet.shape[0]
    atlas = sprites.encode_atlas(names, places, options.cell, name, size)
    out.png(name, sheet, details, done)
    out.write(f"{Path(name).stem}.json", atlas, {"layout": "sprites", "atlas_of": name})


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, later namesakes with a number: a.png and a.jpg are two sprites."""
    found: list[str] = []
    for name in names:
        count, tried = 1, name
        while tried in found:
            count += 1
            tried = f"{name}-{count}"
        found.append(tried)
    return found
