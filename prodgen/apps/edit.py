"""--mode=edit: one change of products' photos, each at its own resolution.

    --edit=background  --background=white|COLOUR|FILE --shadow=0.4
    --edit=recolour    --colour=red,#203a5f  --method=classical|generated|both  --strength=1
                       --from=COLOUR, --at=X,Y or --region=FILE: which part of the product
    --edit=attribute   --attributes=azimuth=30        the run redraws the product in its place
    --edit=inpaint     --mask=FILE                    the run fills what is white in the mask
    --edit=mix         --other=FILE --frames=7        from each product to another

background, and recolour by the classical method, need no run. Writes the edited photos, edit.csv
with the measures of each edit, and a sheet: photos above, edits below.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from prodgen.apps.common import backgrounds, edited_photos, image_files, recolouring
from prodgen.apps.common.edited_photos import SYNTHETIC, open_shot
from prodgen.apps.common.fitness_check import STRICT_HELP, check_fitness
from prodgen.apps.common.image_files import ImageFile
from prodgen.apps.common.option_groups import (
    ATTRIBUTES_HELP,
    MAX_IMAGES,
    CutoutOptions,
    FitOptions,
    PngOptions,
    RunDataOptions,
    images_option,
)
from prodgen.apps.common.output import Output, say
from prodgen.cli.options import option
from prodgen.config import registry
from prodgen.core import pixels
from prodgen.core.csv_files import format_csv
from prodgen.core.errors import BadData, RejectedItem, UsageError
from prodgen.editing import FIT_STEPS
from prodgen.photo import backdrop, background_removal

if TYPE_CHECKING:
    from prodgen.editing.inversion import Inverter
    from prodgen.editing.photo_edits import EditedPhoto, ProductPhoto
    from prodgen.model import Model

TABLE, SHEET = "edit.csv", "edit.png"
CELL_SIDE = 192  # pixels of an image on the sheet
MAX_SHEET_PHOTOS, MAX_COLUMNS = 24, 8
WHITE = (255, 255, 255)
RECOLOUR = {"edit": ("recolour",)}
EDITS_WITH_RUN = ("attribute", "inpaint", "mix")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunDataOptions, CutoutOptions, FitOptions, PngOptions):
    """Of --mode=edit."""

    output = "edit"

    run = "optional"
    read_with_run = ("step", "steps", "data_path")

    images: tuple[str, ...] = images_option("photo")
    n: int = option(0, "Photos, at most; 0: all.", low=0, high=MAX_IMAGES)
    edit: str = option("", "What is changed.", choices=registry.EDITS)
    colour: tuple[str, ...] = option(
        (), "The new colour, a name or #rrggbb, or several.", read_with=RECOLOUR
    )
    from_: str = option(
        "", "The product's colour that changes; default: the dominant one.", read_with=RECOLOUR
    )
    at: str = option("", "X,Y: a point in the colour that changes.", read_with=RECOLOUR)
    region: str = option("", "An image that is white where the colour changes.", read_with=RECOLOUR)
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
        "",
        "An image that is white where the photo is filled.",
        read_with={"edit": ("inpaint",)},
    )
    other: str = option("", "The photo of another product.", read_with={"edit": ("mix",)})
    frames: int = option(12, "Images of a row.", low=2, high=240, read_with={"edit": ("mix",)})
    strict: bool = option(False, STRICT_HELP, read_with={"edit": EDITS_WITH_RUN})
    steps: int = option(
        FIT_STEPS, "Optimisation steps of an inversion.", low=1, high=10_000,
        read_with={"edit": ("recolour", *EDITS_WITH_RUN), "method": ("generated", "both")},
    )  # fmt: skip

    def check(self, workdir: Path | None) -> None:
        super().check(workdir)
        if not any(self.images):
            raise UsageError("--mode=edit needs --images", "name a photo or a folder of them")
        if not self.edit:
            raise UsageError(
                "--mode=edit needs --edit", "background, recolour, attribute, inpaint or mix"
            )
        required_options = {
            "recolour": ("colour", "as in --colour=teal or #203a5f"),
            "attribute": ("attributes", "as in azimuth=30"),
            "inpaint": ("mask", "a black image, white where to fill"),
            "mix": ("other", "name the photo of another product"),
        }
        # An edit that is not listed looks up "edit" itself, which is always set here.
        name, advice = required_options.get(self.edit, ("edit", ""))
        if not getattr(self, name):
            raise UsageError(f"--edit={self.edit} needs --{name}", advice)
        if workdir is None and (self.edit in EDITS_WITH_RUN or self.method == "generated"):
            raise UsageError(f"--edit={self.edit} needs a run", "add --workdir=RUN")
        if self.edit == "recolour":
            recolouring.parse_colours(self.colour)
            recolouring.check_source(self)
        backgrounds.parse_background(self.background)


def run(model: Model | None, options: Options, out: Output) -> list[Path]:
    """Edit every photo of --images, --n at most."""
    target = out.locate(options.output)
    # What this mode wrote before is no photo, unless the user names its folder.
    sources = [path.resolve() for path in image_files.split_paths(options.images, "--images")]
    is_source = target.resolve() in sources
    own_files = {target.resolve() / SHEET} if is_source else out.list_own_files()
    files = image_files.list_images(
        options.images, "--images", out.list_earlier_outputs(), own_files
    )[: options.n or None]
    segmenter = background_removal.load_segmenter(options.cutout, options.model)
    # Classical edits need no run; `both` recolours with the run where one is given.
    needs_run = options.edit in EDITS_WITH_RUN
    needs_run |= options.edit == "recolour" and options.method == "generated"
    needs_run |= options.edit == "recolour" and options.method == "both" and model is not None
    if options.edit in EDITS_WITH_RUN:
        check_fitness(lambda: model.measure_fitness(say), options.edit, options.strict, out)
    inverter = model.open_inverter(say, options.steps) if needs_run else None
    if options.edit == "mix":
        return mix_products(inverter, options, files, segmenter, out)
    edit_product = choose_edit(inverter, options)
    variants = list(recolouring.parse_colours(options.colour)) if len(options.colour) > 1 else [""]
    names = [
        name_file(file, options.edit, variant, method)
        for file in files
        for variant in variants
        for method in ("classical", "generated")
    ]
    out.claim([TABLE, SHEET, *names])

    rows, columns, sources, doubtful = [], [], set(), set()
    for file in files:
        try:
            file.check()
            product = open_shot(file.path, segmenter)
            versions = edit_product(product)
            cutout_doubt = "; ".join(product.cutout.quality.describe_doubts())
        except (BadData, RejectedItem) as error:
            say(f"left out: {file.name}: {error}")
            rows.append({"file": file.name, "method": "", "problem": str(error)})
            continue
        # One file a method, with the measures of the edit in the table and in the manifest.
        for version in versions:
            png = name_file(file, options.edit, version.variant, version.method)
            details = {"of": file.name, "edit": options.edit, "method": version.method}
            details |= version.notes
            source = edited_photos.source_of_edit(version, file.path)
            sources.add(source)
            out.write_png(png, version.image, details | version.metrics, source)
            row = {"file": file.name, "method": version.method, "written": png}
            # A recolouring says itself which doubts about the cut-out concern it.
            row |= {"cutout_doubt": cutout_doubt} | version.metrics | version.notes
            rows.append(row)
            if row["cutout_doubt"] or row.get("doubt"):
                doubtful.add(file.name)
        doubts = dict.fromkeys(
            version.notes.get("cutout_doubt", cutout_doubt) for version in versions
        )
        for words in filter(None, doubts):
            say(f"{file.name}: DOUBTFUL cut-out: {words}")
        describe_notes(file.name, versions)
        columns.append([product.photo, *(version.image for version in versions)])

    out.write(TABLE, format_table(rows), {"edit": options.edit})
    if not columns:
        raise BadData(f"none of {len(files)} photos could be edited", f"see {target / TABLE}")
    source = SYNTHETIC if SYNTHETIC in sources else "composed"
    sheet = draw_sheet(columns[:MAX_SHEET_PHOTOS])
    out.write_png(SHEET, sheet, {"edit": options.edit}, source)
    doubts = f", {len(doubtful)} of them doubtful" if doubtful else ""
    say(f"{len(columns)} of {len(files)} photos edited{doubts}; the measures: {target / TABLE}")
    return out.close()


def name_file(file: ImageFile, edit: str, variant: str, method: str) -> str:
    """The file of an edited photo, as shoe_recolour_teal_classical.png."""
    return "_".join([file.stem, edit, *([variant] if variant else []), method]) + ".png"


def describe_notes(name: str, versions: list[EditedPhoto]) -> None:
    """Print which colour of a photo was changed, its others, and why it is doubtful; or by what a
    hole was filled."""
    notes = versions[0].notes if versions else {}
    if "fill" in notes:
        say(f"{name}: {notes['fill']}")
    if "from_colour" in notes:
        others = f"; other colours: {notes['other_colours']}" if notes["other_colours"] else ""
        doubt = f"; DOUBTFUL: {notes['doubt']}" if notes["doubt"] else ""
        say(f"{name}: changed {notes['from_colour']} of the product{others}{doubt}")
        if notes.get("cutout_note"):
            say(f"{name}: a note, not about the changed colour: {notes['cutout_note']}")
    # What the run drew has doubts of its own.
    for version in versions:
        if version.method == "generated" and version.notes.get("doubt"):
            say(f"{name}: DOUBTFUL, generated: {version.notes['doubt']}")


def choose_edit(
    inverter: Inverter | None, options: Options
) -> Callable[[ProductPhoto], list[EditedPhoto]]:
    """The function that edits each photo; errors of options come before any photo is read."""
    from prodgen.editing import photo_edits

    match options.edit:
        case "recolour":
            return recolouring.choose_recolouring(inverter, options)
        case "background":
            background = backgrounds.parse_background(options.background)
            backgrounds.render_background(background, (16, 16))  # a broken file is an error now

            def change_background(product: ProductPhoto) -> list[EditedPhoto]:
                background_image = backgrounds.render_background(
                    background, product.photo.shape[:2]
                )
                return [photo_edits.replace_background(product, background_image, options.shadow)]

            return change_background
        case "attribute":
            return lambda product: [
                photo_edits.change_attributes(product, inverter, options.attributes)
            ]
        case "inpaint":
            mask = recolouring.read_mask(options.mask)
            return lambda product: [photo_edits.inpaint(product, inverter, mask)]
    raise AssertionError(options.edit)


def mix_products(
    inverter: Inverter,
    options: Options,
    files: list[ImageFile],
    segmenter: Callable,
    out: Output,
) -> list[Path]:
    """A row a product: from it to --other, at the run's own resolution."""
    from prodgen.editing import photo_edits

    out.png_encoder.check_mark(inverter.model.spec.resolution)
    try:
        other = open_shot(Path(os.path.expanduser(options.other)), segmenter)
    except RejectedItem as reason:
        raise BadData(f"--other={options.other}: {reason}", "name another photo") from None
    numbers = range(options.frames)
    out.claim([SHEET, *(f"{file.stem}_mix_{k:02d}.png" for file in files for k in numbers)])
    rows = []
    for file in files:
        try:
            file.check()
            product = open_shot(file.path, segmenter)
            rows.append(photo_edits.interpolate_photos([product, other], inverter, options.frames))
        except (BadData, RejectedItem) as reason:
            say(f"left out: {file.name}: {reason}")
            continue
        for k, image in enumerate(rows[-1]):
            share = round(k / (options.frames - 1), 4)
            details = {"of": file.name, "share": share}
            out.write_png(f"{file.stem}_mix_{k:02d}.png", image, details)
    if not rows:
        raise BadData(f"none of {len(files)} photos shows a product", "name others")
    sheet = pixels.draw_contact_sheet(np.concatenate(rows), options.frames, side=96)
    out.write_png(SHEET, sheet, {"edit": "mix", "other": options.other})
    return out.close()


def draw_sheet(columns: list[list[np.ndarray]]) -> Image.Image:
    """A column a photo, at most 8 side by side: the photo above, its edits below."""
    width, height = min(MAX_COLUMNS, len(columns)), max(map(len, columns))
    # The last line of columns is filled up with white; a short column repeats its last image.
    blank = [np.full((1, 1, 3), 255, np.uint8)]
    columns = columns + [blank] * (-len(columns) % width)
    cells = [
        centre_on_white(column[min(row, len(column) - 1)])
        for start in range(0, len(columns), width)
        for row in range(height)
        for column in columns[start : start + width]
    ]
    return pixels.draw_contact_sheet(np.stack(cells), width, side=CELL_SIDE)


def centre_on_white(image: np.ndarray) -> np.ndarray:
    """The whole image in the middle of a white square uint8 [CELL_SIDE, CELL_SIDE, 3]."""
    thumbnail = pixels.to_pillow(image)
    thumbnail.thumbnail((CELL_SIDE, CELL_SIDE))
    frame = backdrop.fill((CELL_SIDE, CELL_SIDE), WHITE)
    top, left = (CELL_SIDE - thumbnail.height) // 2, (CELL_SIDE - thumbnail.width) // 2
    frame[top : top + thumbnail.height, left : left + thumbnail.width] = np.asarray(thumbnail)
    return frame


def format_table(rows: list[dict]) -> bytes:
    """The content of edit.csv; its columns are the fields of all rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return format_csv(names, ([row.get(name, "") for name in names] for row in rows))
