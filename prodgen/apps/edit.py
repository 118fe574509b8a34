"""--mode=edit: one change of products' photos, each at its own resolution.

    --edit=background  --background=white|COLOUR|FILE --shadow=0.4
    --edit=recolour    --colour=red|#203a5f  --method=classical|generated|both  --strength=1
    --edit=attribute   --attributes=azimuth=30        the run draws the product anew, in its place
    --edit=inpaint     --mask=FILE                    white: what the run is to fill
    --edit=mix         --other=FILE --frames=7        from each product to another

background, and recolour by the classical method, need no run. Writes the edited photos, edit.csv
with what each edit reports, and a sheet: photos above, edits below.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodgen.apps.common import colours, grounds, listing
from prodgen.apps.common.options import (
    ATTRIBUTES_HELP,
    MAX_IMAGES,
    CutoutOptions,
    FitOptions,
    PngOptions,
    RunOptions,
)
from prodgen.apps.common.output import Output, refuse_taken, say
from prodgen.cli.options import option
from prodgen.config import registry
from prodgen.core import decode, pixels, provenance
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import BadData, MissingInput, RejectedItem, UsageError
from prodgen.editing import FIT_STEPS
from prodgen.photo import backdrop, background_removal

if TYPE_CHECKING:
    from prodgen.editing.edits import Edited, Shot
    from prodgen.editing.inversion import Inverter
    from prodgen.model import Model

TABLE, SHEET = "edit.csv", "edit.png"
PIXELS = 192  # a side of a picture on the sheet
SHOWN, COLUMNS = 24, 8  # photos on the sheet, at most; side by side
WHITE = (255, 255, 255)
SYNTHETIC = "composed of generated pictures"  # of provenance.DIGITAL_SOURCE_TYPES
RECOLOUR = {"edit": ("recolour",)}
NEED_RUN = ("attribute", "inpaint", "mix")  # edits that a run draws


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions, CutoutOptions, FitOptions, PngOptions):
    """Of --mode=edit."""

    output = "edit"

    run = "optional"
    read_with_run = ("step", "steps")

    images: str = option("", "A folder of photos, or one photo.")
    n: int = option(0, "Photos, at most; 0: all.", low=0, high=MAX_IMAGES)
    edit: str = option("", "What is changed.", choices=registry.EDITS)
    colour: str = option("", "The colour: its name or #rrggbb.", read_with=RECOLOUR)
    method: str = option(
        "both", "How the colour is changed; `generated` needs a run.",
        choices=("classical", "generated", "both"), read_with=RECOLOUR,
    )  # fmt: skip
    strength: float = option(
        1.0, "Share of the way to the colour.", low=0.0, high=1.0, read_with=RECOLOUR
    )
    background: str = option(
        "", "A colour's name, #rrggbb or a file; default: white.",
        read_with={"edit": ("background",)},
    )  # fmt: skip
    shadow: float = option(
        0.4, "Strength of the shadow.", low=0.0, high=1.0, read_with={"edit": ("background",)}
    )
    attributes: dict[str, str] = option({}, ATTRIBUTES_HELP, read_with={"edit": ("attribute",)})
    mask: str = option(
        "", "An image that is white where the run is to fill.", read_with={"edit": ("inpaint",)}
    )
    other: str = option("", "The photo of another product.", read_with={"edit": ("mix",)})
    frames: int = option(12, "Images of a row.", low=2, high=240, read_with={"edit": ("mix",)})
    steps: int = option(
        FIT_STEPS, "Optimisation steps of an inversion.", low=1, high=10_000,
        read_with={"edit": ("recolour", *NEED_RUN), "method": ("generated", "both")},
    )  # fmt: skip

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if not self.images:
            raise UsageError("--mode=edit needs --images", "name a photo or a folder of them")
        if not self.edit:
            raise UsageError(
                "--mode=edit needs --edit", "background, recolour, attribute, inpaint or mix"
            )
        needed = {"recolour": ("colour", "as in --colour=teal or #203a5f"),
                  "attribute": ("attributes", "as in azimuth=30"),
                  "inpaint": ("mask", "a black image, white where to fill"),
                  "mix": ("other", "name the photo of another product")}  # fmt: skip
        name, advice = needed.get(self.edit, ("edit", ""))
        if not getattr(self, name):
            raise UsageError(f"--edit={self.edit} needs --{name}", advice)
        if workdir is None and (self.edit in NEED_RUN or self.method == "generated"):
            raise UsageError(f"--edit={self.edit} needs a run to draw with", "add --workdir=RUN")
        if self.edit == "recolour":
            colours.parse(self.colour, "--colour")
        grounds.parse(self.background)


def run(model: Model | None, options: Options, out: Output) -> list[Path]:
    """Edit every photo of --images, --n at most."""
    paths = listing.files(Path(options.images).expanduser(), "--images")[: options.n or None]
    cutter, target = (
        background_removal.load_segmenter(options.cutout, options.model),
        out.locate(options.output),
    )
    if options.edit == "mix":
        return _mix(_inverter(model, options), options, paths, cutter, out)
    act = _act(model, options)
    names = listing.png_names([path.name for path in paths])
    refuse_taken(target, [TABLE, SHEET], out.mode)
    rows, shown, sources = [], [], set()
    for path, name in zip(paths, names, strict=True):
        try:
            shot = opened(path, cutter)
            found = act(shot)
        except (BadData, RejectedItem) as error:
            say(f"left out: {path.name}: {error}")
            rows.append({"file": path.name, "method": "", "problem": str(error)})
            continue
        for one in found:
            file = f"{Path(name).stem}_{options.edit}_{one.how}.png"
            details = {"of": path.name, "edit": options.edit, "method": one.how} | one.numbers
            sources.add(done := source(one, path))
            out.png(file, one.picture, details, done)
            rows.append({"file": path.name, "method": one.how, "written": file} | one.numbers)
        shown.append([shot.photo, *(one.picture for one in found)])
    out.write(TABLE, _table(rows), {"edit": options.edit})
    if not shown:
        raise BadData(f"none of {len(paths)} photos could be edited", f"see {target / TABLE}")
    done = SYNTHETIC if SYNTHETIC in sources else "composed"
    out.png(SHEET, _sheet(shown[:SHOWN]), {"edit": options.edit}, done)
    say(f"{len(shown)} of {len(paths)} photos edited; what each edit reports: {target / TABLE}")
    return out.close()


def source(edited: Edited, photo: Path) -> str:
    """What an edited photo's file says of it, one of provenance.DIGITAL_SOURCE_TYPES: whether a
    model had a part in the edit, or in the photo."""
    made = edited.how == "generated" or provenance.is_generated(photo)
    return SYNTHETIC if made else "composed"


def opened(path: Path, cutter: Callable) -> Shot:
    """A photo, cut out. BadData or RejectedItem names what is wrong with it."""
    from prodgen.editing.edits import Shot

    picture = decode.decode_file(path, listing.MAX_PIXELS, single_frame=True)
    return Shot.of(picture, cutter)


def _act(model: Model | None, options: Options) -> Callable[[Shot], list[Edited]]:
    """What is done to each photo; an error where that cannot be, before any is read."""
    from prodgen.editing import edits

    match options.edit:
        case "recolour":
            return _recolouring(model, options)
        case "background":
            ground = grounds.parse(options.background)
            grounds.drawn(ground, (16, 16))
            return lambda shot: [edits.background(
                shot, grounds.drawn(ground, shot.photo.shape[:2]), options.shadow)]  # fmt: skip
        case "attribute":
            inverter = _inverter(model, options)
            return lambda shot: [edits.attribute(shot, inverter, options.attributes)]
        case "inpaint":
            inverter, hole = _inverter(model, options), _hole(options.mask)
            return lambda shot: [edits.inpaint(shot, inverter, hole)]
    raise AssertionError(options.edit)


def _recolouring(model: Model | None, options: Options) -> Callable[[Shot], list[Edited]]:
    """By the methods asked for; `both` takes the generated one where the run can."""
    from prodgen.editing import edits

    target, inverter = colours.parse(options.colour, "--colour"), None
    if options.method == "generated" or (options.method == "both" and model):
        inverter = _inverter(model, options)

    def act(shot: Shot) -> list[Edited]:
        found = []
        if options.method != "generated":
            found.append(edits.classical(shot, target, options.strength))
        if inverter:
            try:
                found.append(
                    edits.generated_colour(shot, inverter, target, colours.NAMED, options.strength)
                )
            except UsageError as error:
                if options.method == "generated":
                    raise
                say(f"classical only: {error}")
        return found

    return act


def _inverter(model: Model, options: Options) -> Inverter:
    return model.open_inverter(say, options.steps)


def _hole(file: str) -> np.ndarray:
    """The region float [H, W] in [0, 1] that a mask's picture marks white."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise MissingInput(f"--mask={file} does not exist", "name a picture of the photo's size")
    try:
        return decode.decode_file(path, listing.MAX_PIXELS)[..., 0] / np.float32(255)
    except RejectedItem as reason:
        raise BadData(f"--mask={file}: {reason}", "name a PNG") from None


def _mix(
    inverter: Inverter, options: Options, paths: list[Path], cutter: Callable, out: Output
) -> list[Path]:
    """A row a product: from it to --other, at the run's own resolution."""
    from prodgen.editing import edits

    out.stamp.check(inverter.model.spec.resolution)
    try:
        other = opened(Path(options.other).expanduser(), cutter)
    except RejectedItem as reason:
        raise BadData(f"--other={options.other}: {reason}", "name another photo") from None
    rows = []
    for path in paths:
        try:
            rows.append(edits.mixed([opened(path, cutter), other], inverter, options.frames))
        except RejectedItem as reason:
            say(f"left out: {path.name}: {reason}")
            continue
        for k, picture in enumerate(rows[-1]):
            share = round(k / (options.frames - 1), 4)
            out.png(f"{path.stem}_mix_{k:02d}.png", picture, {"of": path.name, "share": share})
    if not rows:
        raise BadData(f"none of {len(paths)} photos shows a product", "name others")
    sheet = pixels.draw_contact_sheet(np.concatenate(rows), options.frames, side=96)
    out.png(SHEET, sheet, {"edit": "mix", "other": options.other})
    return out.close()


def _sheet(shown: list[list[np.ndarray]]):
    """A column a photo, at most 8 side by side: the photo above, its edits below."""
    wide, longest = min(COLUMNS, len(shown)), max(map(len, shown))
    nothing = [np.full((1, 1, 3), 255, np.uint8)]
    shown = shown + [nothing] * (-len(shown) % wide)
    cells = [
        column[min(row, len(column) - 1)]
        for start in range(0, len(shown), wide)
        for row in range(longest)
        for column in shown[start : start + wide]
    ]
    return pixels.draw_contact_sheet(np.stack(list(_small(cells))), wide, side=PIXELS)


def _small(cells: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Each in the middle of a white square of PIXELS."""
    for cell in cells:
        picture = pixels.to_pillow(cell)
        picture.thumbnail((PIXELS, PIXELS))
        frame = backdrop.fill((PIXELS, PIXELS), WHITE)
        top, left = (PIXELS - picture.height) // 2, (PIXELS - picture.width) // 2
        frame[top : top + picture.height, left : left + picture.width] = np.asarray(picture)
        yield frame


def _table(rows: list[dict]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    rows = [row | {"file": listing.inert(row["file"])} for row in rows]
    return format_csv(names, ([row.get(name, "") for name in names] for row in rows))
