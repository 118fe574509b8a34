"""How the images of a mode and their manifest reach the disk."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from prodgen.cli import modes
from prodgen.core import pixels, provenance
from prodgen.core.errors import UsageError, WorkdirError
from prodgen.core.file_names import decode_names, format_name
from prodgen.core.files import write_atomically
from prodgen.runs.workdir import collect_versions

if TYPE_CHECKING:
    from prodgen.editing.variations import VariationResult
    from prodgen.model import Model

MANIFEST = "manifest.json"


def say(text: str) -> None:
    """Print a line on standard error: standard output lists the files."""
    print(format_name(text), file=sys.stderr, flush=True)


class PngEncoder:
    """Encodes the PNG files of a mode.

    Their text says where they come from, unless --nometadata. With --mark, a corner of the image
    says that it is generated. seed: of the image, by default that of `options`.
    """

    def __init__(self, model: Model | None, mode: str, options: Any, seed: int | None = None):
        run = model.run if model else None
        origin = f"run {run.record['fingerprint']}, step {run.step}" if run else "no run"
        origin += ", fitted prior" if run and model.prior else ""
        seed = getattr(options, "seed", 0) if seed is None else seed
        self._origin = f"{origin}, seed {seed}, mode {mode}"
        self._metadata = getattr(options, "metadata", True)
        self._mark = getattr(options, "mark", False)

    def encode_png(self, image: np.ndarray | Image.Image, source: str = "generated") -> bytes:
        """A PNG of an image uint8 [H, W, C]; `source` is one of provenance.DIGITAL_SOURCE_TYPES."""
        return pixels.encode_png(self._add_mark(image), self._text(source))

    def encode_apng(self, frames: Sequence[np.ndarray]) -> bytes:
        """An animated PNG of generated frames uint8 [H, W, C]."""
        return pixels.encode_apng(
            [self._add_mark(frame) for frame in frames], text=self._text("generated")
        )

    def check_mark(self, side: int, prefix: str = "") -> None:
        """UsageError where --mark does not fit images of `side` pixels on the shorter side.

        Modes call it before any image is computed. `prefix` begins the message.
        """
        if self._mark and side < pixels.MIN_LABEL_SIDE:
            raise UsageError(
                f"{prefix}an image of {side} px is too small for a mark, which takes at "
                f"least {pixels.MIN_LABEL_SIDE} px a side",
                "leave the mark out, or choose larger images",
            )

    def _add_mark(self, image: np.ndarray | Image.Image) -> np.ndarray | Image.Image:
        if not self._mark:
            return image
        pil_image = pixels.to_pillow(image) if isinstance(image, np.ndarray) else image
        self.check_mark(min(pil_image.size))
        return pixels.draw_ai_label(pil_image)

    def _text(self, source: str) -> dict[str, str] | None:
        return provenance.build_png_text(source, self._origin) if self._metadata else None


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
        self.png_encoder = PngEncoder(self.model, self.mode, self.options)
        self.folder, self._entries, self._paths = Path(), {}, []
        run = self.model.run if self.model else None
        self._origin = {
            "mode": self.mode,
            "fingerprint": run.record["fingerprint"] if run else None,
            "step": run.step if run else None,
            "seed": getattr(self.options, "seed", 0),
            "temperature": getattr(self.options, "temperature", 1.0),
            "versions": collect_versions(),
        }
        if run and hasattr(self.options, "prior"):
            self._origin |= describe_prior(self.model)

    def locate(self, default: str) -> Path:
        """Where the mode writes: --out, or `default` in the run's folder, or here without one.

        UsageError where --out does not fit (cli/modes.py), and where another program wrote a
        manifest there; WorkdirError for a read-only folder: before the work, not after it.
        """
        target = modes.resolve_out_path(self.mode, default, self.out, self.workdir)
        self.folder = target.parent if Path(default).suffix else target
        read_manifest(self.folder / MANIFEST)
        refuse_read_only(self.folder)
        return target

    def add_to_entries(self, **facts: Any) -> None:
        """Add facts to the entries of all files that are written from now on."""
        self._origin |= facts

    def list_own_files(self) -> set[Path]:
        """The resolved paths of what this mode wrote into the folder before."""
        entries = read_manifest(self.folder / MANIFEST).items()
        names = [name for name, entry in entries if entry.get("mode") == self.mode]
        return {(self.folder / name).resolve() for name in (*names, MANIFEST)}

    def list_earlier_outputs(self, subfolder: str = "") -> dict[str, str]:
        """By a user's file, the path below `subfolder` of an image that was made from it before."""
        prefix = f"{subfolder}/" if subfolder else ""
        return {
            entry.get("file") or entry["of"]: name.removeprefix(prefix)
            for name, entry in read_manifest(self.folder / MANIFEST).items()
            if entry.get("mode") == self.mode and name.startswith(prefix)
            if entry.get("file") or entry.get("of")
        }

    def write_png(
        self,
        name: str,
        image: np.ndarray | Image.Image,
        details: dict[str, Any],
        source: str = "generated",
    ) -> None:
        """A PNG that states its origin; source: a key of provenance.DIGITAL_SOURCE_TYPES."""
        self.write(name, self.png_encoder.encode_png(image, source), details)

    def write_apng(self, name: str, frames: Sequence[np.ndarray], details: dict[str, Any]) -> None:
        """An animation of generated frames uint8 [H, W, C]."""
        self.write(name, self.png_encoder.encode_apng(frames), details)

    def write(self, name: str, content: bytes, details: dict[str, Any]) -> None:
        """One file, whole or not at all, and its entry; `name` may lie in a folder below."""
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / name, content)
        self._entries[name] = self._origin | details
        self._paths.append(self.folder / name)

    def claim(self, names: Sequence[str]) -> None:
        """Mark the names of the files to come as this mode's, should the command end early.

        UsageError where one of them is a file that this mode did not write.
        """
        check_overwrite(self.folder, names, self.mode)
        earlier = read_manifest(self.folder / MANIFEST)
        self._write_manifest(dict.fromkeys(names, self._origin) | earlier)

    def close(self) -> list[Path]:
        """Write manifest.json; the files written, it included."""
        # Entries of earlier commands stay while their files exist.
        earlier = read_manifest(self.folder / MANIFEST)
        entries = {name: e for name, e in earlier.items() if (self.folder / name).is_file()}
        return [*self._paths, self._write_manifest(entries | self._entries)]

    def _write_manifest(self, entries: dict[str, dict[str, Any]]) -> Path:
        text = json.dumps(decode_names({"files": entries}), indent=1, sort_keys=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / MANIFEST, text.encode())
        return self.folder / MANIFEST


def describe_prior(model: Model) -> dict[str, str]:
    """What a family with an encoder draws its latents from; empty for the others."""
    return {"prior": model.prior_name} if model.prior_name else {}


def refuse_read_only(folder: Path) -> None:
    """WorkdirError where `folder`, or the nearest one above that exists, cannot be written."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise WorkdirError(
            f"{nearest} cannot be written", "make it writable, or name another place with --out"
        )


def check_overwrite(folder: Path, names: Sequence[str], mode: str) -> None:
    """UsageError where one of the files exists and the manifest does not name it as this mode's."""
    entries = read_manifest(folder / MANIFEST)
    for name in names:
        if (folder / name).exists() and entries.get(name, {}).get("mode") != mode:
            raise UsageError(
                f"{folder / name} exists, and this mode did not write it",
                "name another place with --out",
            )


def read_manifest(path: Path) -> dict[str, Any]:
    """The entries of a manifest, empty without a file; UsageError for another program's."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            f"{path} was not written by this program", "name another place with --out"
        ) from None


def describe_conditions(conditions: dict[str, Any], spec: Any, row: int) -> dict[str, Any]:
    """The conditions of one generated image in words and numbers, for the manifest."""
    label = int(conditions["label"][row])
    values = {}
    for attribute in spec.attributes:
        columns = spec.column_slices()[attribute.name]
        if conditions["known"][row, columns].all():
            value = attribute.decode(conditions["attributes"][row, columns])
            values[attribute.name] = round(value, 4) if isinstance(value, float) else value
    return {"label": spec.classes[label] if label >= 0 else None, "attributes": values}


def describe_variation(
    name: str, request: Any, variations: VariationResult, row: int, spec: Any
) -> dict[str, Any]:
    """The manifest's entry of one variation of the product `name`.

    request: the options of mode vary, or a row of mode batch.
    """
    return {
        "of": name,
        "strength": request.strength,
        "keep": list(request.keep),
        "kept": bool(variations.keeps_request[row]),
        "latent": variations.z[row].tolist(),
    } | describe_conditions(variations.conditions, spec, row)
