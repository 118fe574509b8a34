"""How the images of a mode and their manifest reach the disk."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from prodgen.cli import modes
from prodgen.core import pixels, provenance
from prodgen.core.errors import UsageError
from prodgen.core.files import write_atomically
from prodgen.runs.workdir import collect_versions

if TYPE_CHECKING:
    from prodgen.model import Model

MANIFEST = "manifest.json"


def say(text: str) -> None:
    """Progress goes to standard error: standard output lists the files."""
    print(text, file=sys.stderr, flush=True)


class Stamp:
    """What the PNGs of a mode say of themselves: in their text where they come from, unless
    --nometadata, and with --mark, in a corner, that they are generated."""

    def __init__(self, model: Model | None, mode: str, options: Any, seed: int | None = None):
        run = model.run if model else None
        origin = f"run {run.record['fingerprint']}, step {run.step}" if run else "no run"
        seed = getattr(options, "seed", 0) if seed is None else seed
        self._origin = f"{origin}, seed {seed}, mode {mode}"
        self._metadata = getattr(options, "metadata", True)
        self._mark = getattr(options, "mark", False)

    def png(self, picture: np.ndarray | Image.Image, done: str = "generated") -> bytes:
        """A PNG; `done` is one of provenance.DIGITAL_SOURCE_TYPES."""
        return pixels.encode_png(self._marked(picture), self._text(done))

    def apng(self, frames: Sequence[np.ndarray]) -> bytes:
        """An animation of generated frames, each marked where that was asked for."""
        shown = [self._marked(frame) for frame in frames]
        return pixels.encode_apng(shown, text=self._text("generated"))

    def check(self, side: int, where: str = "") -> None:
        """UsageError where pictures of so many pixels on the shorter side are to be marked and are
        too small for it; asked before they are made. `where` begins what is said."""
        if self._mark and side < pixels.MIN_LABEL_SIDE:
            raise UsageError(
                f"--mark: {where}a picture of {side} px is too small for a mark, which takes at "
                f"least {pixels.MIN_LABEL_SIDE} px a side",
                "leave it out, or ask for larger pictures",
            )

    def _marked(self, picture: np.ndarray | Image.Image) -> np.ndarray | Image.Image:
        if not self._mark:
            return picture
        found = pixels.to_pillow(picture) if isinstance(picture, np.ndarray) else picture
        self.check(min(found.size))
        return pixels.draw_ai_label(found)

    def _text(self, done: str) -> dict[str, str] | None:
        return provenance.build_png_text(done, self._origin) if self._metadata else None


@dataclasses.dataclass
class Output:
    """Images on disk and, beside them, a manifest that says how to make each again.

    The manifest of a folder keeps the entries of other images that are still there. out: --out;
    workdir: the run's folder. `locate` comes before the first file.
    """

    model: Model | None
    mode: str
    options: Any
    out: Path | None = None
    workdir: Path | None = None

    def __post_init__(self) -> None:
        self.stamp = Stamp(self.model, self.mode, self.options)
        self._folder, self._entries, self._written = Path(), {}, []
        run = self.model.run if self.model else None
        self._origin = {
            "mode": self.mode,
            "fingerprint": run.record["fingerprint"] if run else None,
            "step": run.step if run else None,
            "seed": getattr(self.options, "seed", 0),
            "temperature": getattr(self.options, "temperature", 1.0),
            "versions": collect_versions(),
        }

    def locate(self, default: str) -> Path:
        """Where the mode writes: --out, or `default` in the run's folder, or here without one.

        UsageError where --out does not fit (cli/modes.py), and where another program wrote a
        manifest there: now rather than when the work is done.
        """
        target = modes.resolve_out_path(self.mode, default, self.out, self.workdir)
        self._folder = target.parent if Path(default).suffix else target
        entries(self._folder / MANIFEST)
        return target

    def png(
        self,
        name: str,
        picture: np.ndarray | Image.Image,
        details: dict[str, Any],
        done: str = "generated",
    ) -> None:
        """A picture as a PNG that states its origin; `done` is a key of
        provenance.DIGITAL_SOURCE_TYPES."""
        self.write(name, self.stamp.png(picture, done), details)

    def apng(self, name: str, frames: Sequence[np.ndarray], details: dict[str, Any]) -> None:
        """An animation of generated frames."""
        self.write(name, self.stamp.apng(frames), details)

    def write(self, name: str, content: bytes, details: dict[str, Any]) -> None:
        """One file, whole or not at all, and its entry; `name` may lie in a folder below."""
        (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / name, content)
        self._entries[name] = self._origin | details
        self._written.append(self._folder / name)

    def close(self) -> list[Path]:
        """Write manifest.json; the files written, it included."""
        path = self._folder / MANIFEST
        before = entries(path)
        kept = {name: e for name, e in before.items() if (self._folder / name).is_file()}
        record = {"files": kept | self._entries}
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record, indent=1, sort_keys=True).encode())
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
        place = spec.column_slices()[attribute.name]
        if conditions["known"][row, place].all():
            value = attribute.decode(conditions["attributes"][row, place])
            values[attribute.name] = round(value, 4) if isinstance(value, float) else value
    return found | {"attributes": values}
