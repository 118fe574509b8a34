"""--mode=compose: an advert's banner, or a game's sprite sheet, from pictures of products.

Needs no run. --recolour shows each product in other colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prodgen.apps import colours, grounds, subjects
from prodgen.apps.request import MANIFEST, Output, Request, entries, refuse_taken, say
from prodgen.apps.subjects import Subject
from prodgen.errors import UsageError
from prodgen.model import Model
from prodgen.photo import banner, lettering, recolour, sprites

SHOWN = {"banner": 4, "sprites": 256}  # products, unless --n asks for others
ORIGINAL = "original"  # among the colours of --recolour: the product as it is
ENLARGED = 1.5  # times: beyond, a product looks soft, and it is said


def run(model: Model | None, request: Request) -> list[Path]:
    """Write banner.png, or sprites.png and its atlas sprites.json; --out names another file."""
    if not request.images:
        raise UsageError("--mode=compose needs --images", "name pictures or a folder of them")
    target = request.target(f"{request.layout}.png")
    checked(request)
    names = [target.name] + ([f"{target.stem}.json"] if request.layout == "sprites" else [])
    refuse_taken(target.parent, names, request.mode)
    paths = subjects.listed(request.images, _own(target))
    limit = request.n or SHOWN[request.layout]
    found = subjects.read(paths, limit)
    if len(paths) > limit:
        say(f"the first {limit} of {len(paths)} pictures are on it; --n takes others")
    out = Output(model, request, target.parent)
    shown = [one for subject in found for one in in_colours(subject, request.recolour)]
    made = any(subject.generated for subject in found)
    done = "composed of generated pictures" if made else "composed"
    write = _banner if request.layout == "banner" else _sprites
    write(request, shown, out, target.name, done)
    return out.close()


def checked(request: Request) -> None:
    """Everything about the flags that can be wrong, before a picture is read."""
    banner.size_of(request.size)
    for name in set(request.recolour) - {ORIGINAL}:
        colours.parse(name, "--recolour")
    if request.cell not in sprites.CELLS:
        known = ", ".join(map(str, sprites.CELLS))
        raise UsageError(f"--cell={request.cell} is not a power of two", f"one of {known}")
    lettering.check(request.text, request.font)
    grounds.parse(request.background)


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
        say(f"{subject.name} in {name}: CIEDE2000 {done.before:.1f} to {done.after:.1f}")
        details = {
            "name": f"{subject.name}-{name.lstrip('#')}",
            "recolour": name,
            "ciede2000": round(done.after, 3),
            "share": round(done.share, 4),
            "outside": round(done.outside.largest, 3),
        }
        changed = np.dstack([done.picture, alpha])
        found.append((Subject(details["name"], changed, subject.generated), details))
    return found


def _banner(
    request: Request, shown: list[tuple[Subject, dict]], out: Output, name: str, done: str
) -> None:
    width, height = banner.size_of(request.size)
    made = banner.make(
        [subject.pixels for subject, _ in shown],
        grounds.drawn(grounds.parse(request.background), (height, width)),
        " ".join(request.text.split()),
        request.font,
        request.shadow,
        banner.COVERED.get(request.size, (0.0, 0.0)),
    )
    products = []
    for (subject, details), placed in zip(shown, made.products, strict=True):
        own = max(subject.pixels.shape[:2])
        at = {"box": list(placed.box), "scale": round(placed.scale, 4), "own_pixels": own}
        products.append(details | at)
        if placed.scale > ENLARGED:
            say(f"{subject.name}: its {own} px are enlarged {placed.scale:.1f} times and look soft")
    words = {"text": request.text, "text_box": made.text, "contrast": made.contrast,
             "veil": made.veil, "letters": made.size}  # fmt: skip
    frame = {"layout": "banner", "size": [width, height], "shadow": request.shadow,
             "background": request.background or grounds.WHITE, "products": products}  # fmt: skip
    out.png(name, made.picture, frame | (words if made.text else {}), done)


def _sprites(
    request: Request, shown: list[tuple[Subject, dict]], out: Output, name: str, done: str
) -> None:
    border = request.padding + request.extrude
    cut = [sprites.fitted(subject.pixels, request.cell, border) for subject, _ in shown]
    sheet, places = sprites.sheet(cut, request.cell, request.extrude)
    names = _distinct([details["name"] for _, details in shown])
    details = {"layout": "sprites", "cell": request.cell, "sprites": [
        entry | {"name": own, "box": list(place)}
        for (_, entry), own, place in zip(shown, names, places, strict=True)
    ]}  # fmt: skip
    size = sheet.shape[1], sheet.shape[0]
    atlas = sprites.atlas(names, places, request.cell, name, size)
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
