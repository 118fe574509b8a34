"""The background that a product is composed on: a colour, or an image that covers the frame."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from prodgen.apps.common import named_colours
from prodgen.apps.common.named_colours import Rgb
from prodgen.core import decode
from prodgen.core.errors import BadData, MissingInput, RejectedItem
from prodgen.metrics import marketplace
from prodgen.photo import backdrop

DEFAULT_BACKGROUND = "white"
Background = Rgb | Path


def parse_background(text: str, flag: str = "--background") -> Background:
    """The colour that a user writes, or the path of a file.

    MissingInput for a file that does not exist, UsageError for what is no colour.
    """
    path = Path(os.path.expanduser(text))
    if os.path.isfile(path):
        return path
    if path.suffix:
        raise MissingInput(f"{flag}={text} does not exist", "name a file")
    return named_colours.parse_colour(
        text or DEFAULT_BACKGROUND, flag, named_colours.BACKGROUND_COLOURS
    )


def render_background(background: Background, shape: tuple[int, int]) -> np.ndarray:
    """The background uint8 [H, W, 3] of a shape (height, width). BadData for a broken image."""
    if not isinstance(background, Path):
        return backdrop.fill(shape, background)
    try:
        image = decode.decode_file(background, marketplace.MAX_PIXELS)
    except RejectedItem as reason:
        raise BadData(f"the background {background}: {reason}", "name another image") from None
    # Transparent pixels become white, grey images get three channels.
    if image.shape[2] == 4:
        image = backdrop.composite_over(image, backdrop.fill(image.shape[:2], (255, 255, 255)))
    return backdrop.cover(np.broadcast_to(image, (*image.shape[:2], 3)).copy(), shape)
