"""What a product is laid on: a colour, or a picture that covers the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prodgen.apps.common import colours
from prodgen.apps.common.colours import Rgb
from prodgen.core import decode
from prodgen.core.errors import BadData, MissingInput, RejectedItem
from prodgen.metrics import marketplace
from prodgen.photo import backdrop

WHITE = "white"  # where nothing is asked for
Ground = Rgb | Path


def parse(text: str, flag: str = "--background") -> Ground:
    """The colour that a user writes, or the file that is named.

    MissingInput for a file that does not exist, UsageError for what is no colour.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if path.suffix:
        raise MissingInput(f"{flag}={text} does not exist", "name a file")
    return colours.parse(text or WHITE, flag, colours.PAPER)


def drawn(ground: Ground, shape: tuple[int, int]) -> np.ndarray:
    """The background uint8 [H, W, 3] of a shape (height, width). BadData for a broken picture."""
    if not isinstance(ground, Path):
        return backdrop.fill(shape, ground)
    try:
        picture = decode.decode_file(ground, marketplace.MAX_PIXELS)
    except RejectedItem as reason:
        raise BadData(f"the background {ground}: {reason}", "name another picture") from None
    if picture.shape[2] == 4:
        picture = backdrop.composite_over(
            picture, backdrop.fill(picture.shape[:2], (255, 255, 255))
        )
    return backdrop.cover(np.broadcast_to(picture, (*picture.shape[:2], 3)).copy(), shape)
