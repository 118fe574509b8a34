"""What a user asks of a mode, and how its pictures and their manifest reach the disk."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from prodgen import images, provenance, tables, workdir
from prodgen.errors import UsageError
from prodgen.model import Model

MANIFEST = "manifest.json"
FILES = (".png", ".jpg", ".jpeg", ".webp", ".json", ".csv", ".html")  # no folder is called so


@dataclasses.dataclass(frozen=True)
class Request:
    """The flags of run_sample.py. `n` of 0 and an empty `out` mean the mode's own default."""

    workdir: Path | None
    mode: str
    out: Path | None = None
    seed: int = 0
    n: int = 0
    label: str = ""
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    temperature: float = 1.0
    step: str = "best"
    input: str = ""
    frames: int = 12
    extractors: tuple[str, ...] = ()
    images: str = ""
    reference: str = ""
    steps: int = 0
    strength: float | None = None
    keep: tuple[str, ...] = ("category",)
    products: int = 0
    guard: bool = True
    table: str = ""
    edit: str = ""
    colour: str = ""
    method: str = "both"
    mask: str = ""
    other: str = ""
    history: str = ""
    person: str = ""
    exploration: float = 0.2
    diversity: float = 0.85
    profile: str = "white_main"
    repair: bool = False
    cutout: str = "plain"
    model: str = ""
    metadata: bool = True
    mark: bool = False
    layout: str = "banner"
    size: str = "square"
    background: str = ""
    text: str = ""
    font: str = ""
    shadow: float = 0.4
    recolour: tuple[str, ...] = ()
    cell: int = 128
    padding: int = 2
    extrude: int = 0

    def target(self, default: str) -> Path:
        """Where the mode writes: --out, or `default` in the run's folder, or here without one.

        A mode that writes one file also takes a folder that exists. UsageError where --out names
        a file for a folder, or neither a folder nor a file of the kind that is written.
        """
        name, place = Path(default), self.out or (self.workdir or Path()) / default
        if not name.suffix:
            if place.suffix.lower() in FILES or place.is_file():
                says = f"--out={place} is a file; mode {self.mode} writes a folder"
                raise UsageError(says, f"name one, as --out={place.with_suffix('')}_{self.mode}")
        elif place.is_dir():
            place /= name.name
        elif place.suffix.lower() != name.suffix:
            says = f"--out={place} is no {name.suffix} file, and no folder that exists"
            raise UsageError(says, f"name one, as --out={place}{name.suffix}, or make the folder")
        return place


def say(text: str) -> None:
    """Progress goes to standard error: standard output lists the files."""
    print(text, file=sys.stderr, flush=True)


def asked(flags: Mapping[str, Any]) -> Request:
    """The request that the flags of run_sample.py, by name, make."""
    values = {field.name: flags[field.name] for field in dataclasses.fields(Request)}
    return Request(**values | {
        "workdir": Path(flags["workdir"]) if flags["workdir"] else None,
        "out": Path(flags["out"]) if flags["out"] else None,
        "attributes": parse_attributes(flags["attributes"]),
        "extractors": tuple(flags["extractors"]),
        "keep": tuple(flags["keep"]),
        "recolour": tuple(flags["recolour"]),
    })  # fmt: skip


def parse_attributes(text: str) -> dict[str, str]:
    """ "colour=red,azimuth=30" -> {"colour": "red", "azimuth": "30"}."""
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise UsageError(
                f"--attributes: {part!r} is not name=value", "as in colour=red,azimuth=30"
            )
        found[name.strip()] = value.strip()
    return found


def run(request: Request) -> list[Path]:
    """Carry out a request: load the run, run the mode, return the files written."""
    from prodgen.model import load
    from prodgen.parallel import mesh, selftest

    mode = tables.find(tables.MODES, request.mode, "--mode")
    mesh.use_compile_cache()
    selftest.run()
    model = load(request.workdir, request.step) if request.workdir else None
    return mode.run(model, request)


class Stamp:
    """What the PNGs of a mode say of themselves: in their text where they come from, unless
    --nometadata, and with --mark, in a corner, that they are generated."""

    def __init__(self, model: Model | None, request: Request):
        run = model.run if model else None
        self._made = f"run {run.record['fingerprint']}, step {run.step}" if run else "no run"
        self._request = request

    def png(self, picture: np.ndarray | Image.Image, done: str = "generated") -> bytes:
        """A PNG; `done` is one of provenance.SOURCES."""
        return images.png(self._marked(picture), self._text(done))

    def apng(self, frames: Sequence[np.ndarray]) -> bytes:
        """An animation of generated frames, each marked where that was asked for."""
        shown = [self._marked(frame) for frame in frames]
        return images.apng(shown, text=self._text("generated"))

    def check(self, side: int, where: str = "") -> None:
        """UsageError where pictures of so many pixels on the shorter side are to be marked and are
        too small for it; asked before they are made. `where` begins what is said."""
        if self._request.mark and side < images.MARKED:
            raise UsageError(
                f"--mark: {where}a picture of {side} px is too small for a mark, which takes at "
                f"least {images.MARKED} px a side",
                "leave it out, or ask for larger pictures",
            )

    def _marked(self, picture: np.ndarray | Image.Image) -> np.ndarray | Image.Image:
        if not self._request.mark:
            return picture
        found = images.picture(picture) if isinstance(picture, np.ndarray) else picture
        self.check(min(found.size))
        return images.marked(found)

    def _text(self, done: str) -> dict[str, str] | None:
        origin = f"{self._made}, seed {self._request.seed}, mode {self._request.mode}"
        return provenance.text(done, origin) if self._request.metadata else None


class Output:
    """Pictures on disk and, beside them, a manifest that says how to make each again.

    The manifest of a folder keeps the entries of other pictures that are still there.
    """

    def __init__(self, model: Model | None, request: Request, folder: Path):
        self._folder, self._entries, self._written = folder, {}, []
        self.stamp = Stamp(model, request)
        run = model.run if model else None
        self._origin = {
            "mode": request.mode,
            "fingerprint": run.record["fingerprint"] if run else None,
            "step": run.step if run else None,
            "seed": request.seed,
            "temperature": request.temperature,
            "versions": workdir.versions(),
        }
        entries(folder / MANIFEST)  # refused now rather than when the work is done

    def png(
        self,
        name: str,
        picture: np.ndarray | Image.Image,
        details: dict[str, Any],
        done: str = "generated",
    ) -> None:
        """A picture as a PNG that says where it comes from; `done` is one of provenance.SOURCES."""
        self.write(name, self.stamp.png(picture, done), details)

    def apng(self, name: str, frames: Sequence[np.ndarray], details: dict[str, Any]) -> None:
        """An animation of generated frames."""
        self.write(name, self.stamp.apng(frames), details)

    def write(self, name: str, content: bytes, details: dict[str, Any]) -> None:
        """One file, whole or not at all, and its entry; `name` may lie in a folder below."""
        (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
        workdir.write_atomically(self._folder / name, content)
        self._entries[name] = self._origin | details
        self._written.append(self._folder / name)

    def close(self) -> list[Path]:
        """Write manifest.json; the files written, it included."""
        path = self._folder / MANIFEST
        before = entries(path)
        kept = {name: e for name, e in before.items() if (self._folder / name).is_file()}
        record = {"files": kept | self._entries}
        self._folder.mkdir(parents=True, exist_ok=True)
        workdir.write_atomically(path, json.dumps(record, indent=1, sort_keys=True).encode())
        return [*self._written, path]


def refuse_taken(folder: Path, names: Sequence[str], mode: str) -> None:
    """UsageError where one of the files exists and is not, by the manifest, this mode's own."""
    ours = entries(folder / MANIFEST)
    for name in names:
        if (folder / name).exists() and ours.get(name, {}).get("mode") != mode:
            raise UsageError(
                f"{folder / name} exists, and this mode did not write it",
                "name another place with --out",
            )


def entries(path: Path) -> dict[str, Any]:
    """The entries of a manifest; none where there is no file. Another program's: UsageError."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            f"{path} was not written by this program", "name another place with --out"
        ) from None


def describe(conditions: dict[str, Any], spec: Any, row: int) -> dict[str, Any]:
    """The conditions of one generated picture in words and numbers, for the manifest."""
    label = int(conditions["label"][row])
    found: dict[str, Any] = {"label": spec.classes[label] if label >= 0 else None}
    values = {}
    for attribute in spec.attributes:
        place = spec.slices()[attribute.name]
        if conditions["known"][row, place].all():
            value = attribute.decode(conditions["attributes"][row, place])
            values[attribute.name] = round(value, 4) if isinstance(value, float) else value
    return found | {"attributes": values}
