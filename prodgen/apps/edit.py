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

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from prodgen import decode, images, provenance
from prodgen.apps import colours, grounds, listing
from prodgen.apps.request import Output, Request, refuse_taken, say
from prodgen.editing import edits
from prodgen.editing.edits import Edited, Shot
from prodgen.editing.inversion import STEPS, Inverter
from prodgen.errors import BadData, MissingInput, Refused, UsageError
from prodgen.model import Model
from prodgen.photo import backdrop, cutout

TABLE, SHEET = "edit.csv", "edit.png"
PIXELS = 192  # a side of a picture on the sheet
SHOWN, COLUMNS = 24, 8  # photos on the sheet, at most; side by side
SYNTHETIC = "composed of generated pictures"  # of provenance.SOURCES
Act = Callable[[Shot], list[Edited]]


def run(model: Model | None, request: Request) -> list[Path]:
    """Edit every photo of --images, --n at most."""
    if not request.images:
        raise UsageError("--mode=edit needs --images", "name a photo or a folder of them")
    paths = listing.files(Path(request.images).expanduser(), "--images")[: request.n or None]
    cutter = cutout.method(request.cutout, request.model)
    if request.edit == "mix":
        return _mix(_inverter(model, request), request, paths, cutter)
    act, target = _act(model, request), request.target("edit")
    names = listing.png_names([path.name for path in paths])
    refuse_taken(target, [TABLE, SHEET], request.mode)
    out = Output(model, request, target)
    rows, shown, sources = [], [], set()
    for path, name in zip(paths, names, strict=True):
        try:
            shot = opened(path, cutter)
            found = act(shot)
        except (BadData, Refused) as error:
            say(f"left out: {path.name}: {error}")
            rows.append({"file": path.name, "method": "", "problem": str(error)})
            continue
        for one in found:
            file = f"{Path(name).stem}_{request.edit}_{one.how}.png"
            details = {"of": path.name, "edit": request.edit, "method": one.how} | one.numbers
            sources.add(done := source(one, path))
            out.png(file, one.picture, details, done)
            rows.append({"file": path.name, "method": one.how, "written": file} | one.numbers)
        shown.append([shot.photo, *(one.picture for one in found)])
    out.write(TABLE, _table(rows), {"edit": request.edit})
    if not shown:
        raise BadData(f"none of {len(paths)} photos could be edited", f"see {target / TABLE}")
    done = SYNTHETIC if SYNTHETIC in sources else "composed"
    out.png(SHEET, _sheet(shown[:SHOWN]), {"edit": request.edit}, done)
    say(f"{len(shown)} of {len(paths)} photos edited; what each edit reports: {target / TABLE}")
    return out.close()


def source(edited: Edited, photo: Path) -> str:
    """What an edited photo's file says of it, one of provenance.SOURCES: whether a model had a part
    in the edit, or in the photo."""
    made = edited.how == "generated" or provenance.is_generated(photo)
    return SYNTHETIC if made else "composed"


def opened(path: Path, cutter: Callable) -> Shot:
    """A photo, cut out. BadData or Refused names what is wrong with it."""
    picture = decode.decode_file(path, listing.MAX_PIXELS, still=True)
    return Shot.of(picture, cutter)


def _act(model: Model | None, request: Request) -> Act:
    """What is done to each photo; UsageError where that cannot be, before any is read."""
    match request.edit:
        case "recolour":
            return _recolouring(model, request)
        case "background":
            ground = grounds.parse(request.background)
            grounds.drawn(ground, (16, 16))
            return lambda shot: [edits.background(
                shot, grounds.drawn(ground, shot.photo.shape[:2]), request.shadow)]  # fmt: skip
        case "attribute":
            if not request.attributes:
                raise UsageError("--edit=attribute needs --attributes", "as in azimuth=30")
            inverter = _inverter(model, request)
            return lambda shot: [edits.attribute(shot, inverter, request.attributes)]
        case "inpaint":
            inverter, hole = _inverter(model, request), _hole(request.mask)
            return lambda shot: [edits.inpaint(shot, inverter, hole)]
    raise UsageError("--mode=edit needs --edit", "background, recolour, attribute, inpaint or mix")


def _recolouring(model: Model | None, request: Request) -> Act:
    """By the methods asked for; `both` takes the generated one where the run can."""
    if not request.colour:
        raise UsageError("--edit=recolour needs --colour", "as in --colour=teal or #203a5f")
    target, inverter = colours.parse(request.colour, "--colour"), None
    strength = 1.0 if request.strength is None else request.strength
    if request.method == "generated" or (request.method == "both" and model):
        inverter = _inverter(model, request)

    def act(shot: Shot) -> list[Edited]:
        found = []
        if request.method != "generated":
            found.append(edits.classical(shot, target, strength))
        if inverter:
            try:
                found.append(
                    edits.generated_colour(shot, inverter, target, colours.NAMED, strength)
                )
            except UsageError as error:
                if request.method == "generated":
                    raise
                say(f"classical only: {error}")
        return found

    return act


def _inverter(model: Model | None, request: Request) -> Inverter:
    if model is None:
        raise UsageError(f"--edit={request.edit} needs a run to draw with", "add --workdir=RUN")
    return Inverter(model, say, request.steps or STEPS)


def _hole(file: str) -> np.ndarray:
    """The region float [H, W] in [0, 1] that a mask's picture marks white."""
    if not file:
        raise UsageError("--edit=inpaint needs --mask", "a black picture, white where to fill")
    path = Path(file).expanduser()
    if not path.is_file():
        raise MissingInput(f"--mask={file} does not exist", "name a picture of the photo's size")
    try:
        return decode.decode_file(path, listing.MAX_PIXELS)[..., 0] / np.float32(255)
    except Refused as reason:
        raise BadData(f"--mask={file}: {reason}", "name a PNG") from None


def _mix(inverter: Inverter, request: Request, paths: list[Path], cutter: Callable) -> list[Path]:
    """A row a product: from it to --other, at the run's own resolution."""
    if not request.other:
        raise UsageError("--edit=mix needs --other", "name the photo of another product")
    target = request.target("edit")
    out = Output(inverter.model, request, target)
    out.stamp.check(inverter.model.spec.resolution)
    try:
        other = opened(Path(request.other).expanduser(), cutter)
    except Refused as reason:
        raise BadData(f"--other={request.other}: {reason}", "name another photo") from None
    rows = []
    for path in paths:
        try:
            rows.append(edits.mixed([opened(path, cutter), other], inverter, request.frames))
        except Refused as reason:
            say(f"left out: {path.name}: {reason}")
            continue
        for k, picture in enumerate(rows[-1]):
            share = round(k / (request.frames - 1), 4)
            out.png(f"{path.stem}_mix_{k:02d}.png", picture, {"of": path.name, "share": share})
    if not rows:
        raise BadData(f"none of {len(paths)} photos shows a product", "name others")
    sheet = images.sheet(np.concatenate(rows), request.frames, pixels=96)
    out.png(SHEET, sheet, {"edit": "mix", "other": request.other})
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
    return images.sheet(np.stack(list(_small(cells))), wide, pixels=PIXELS)


def _small(cells: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Each in the middle of a white square of PIXELS."""
    for cell in cells:
        picture = images.picture(cell)
        picture.thumbnail((PIXELS, PIXELS))
        frame = backdrop.fill((PIXELS, PIXELS), edits.WHITE)
        top, left = (PIXELS - picture.height) // 2, (PIXELS - picture.width) // 2
        frame[top : top + picture.height, left : left + picture.width] = np.asarray(picture)
        yield frame


def _table(rows: list[dict]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(
        {k: listing.inert(v) if k == "file" else v for k, v in r.items()} for r in rows
    )
    return text.getvalue().encode("utf-8-sig")
