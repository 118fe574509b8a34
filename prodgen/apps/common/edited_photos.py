"""A photo that is edited: opened and cut out; the source that the edited file states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from prodgen.apps.common import image_files
from prodgen.core import decode, provenance

if TYPE_CHECKING:
    from prodgen.editing.photo_edits import EditedPhoto, ProductPhoto

SYNTHETIC = "composed of generated pictures"  # of provenance.DIGITAL_SOURCE_TYPES


def open_shot(path: Path, segmenter: Callable) -> ProductPhoto:
    """A photo, cut out. BadData or RejectedItem says why it cannot be."""
    from prodgen.editing.photo_edits import ProductPhoto

    return ProductPhoto.from_image(
        decode.decode_file(path, image_files.MAX_PIXELS, single_frame=True), segmenter
    )


def source_of_edit(edited_photo: EditedPhoto, photo: Path) -> str:
    """A key of provenance.DIGITAL_SOURCE_TYPES: whether a model took part in edit or photo."""
    is_synthetic = edited_photo.method == "generated" or provenance.is_generated(photo)
    return SYNTHETIC if is_synthetic else "composed"
