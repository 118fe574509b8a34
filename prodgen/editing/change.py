"""What is changed of a product that a run holds: its attributes, its colour, halfway to another.

Every change is made in the conditions, where the run hears them; editing/slider.py moves what it
does not hear.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prodgen.config.registry import suggest_names
from prodgen.core.errors import UsageError
from prodgen.core.spelling import find_spelling
from prodgen.core.types import Attribute, Batch, Spec
from prodgen.metrics import packshot
from prodgen.photo import colorimetry


def with_value(conditions: Batch, spec: Spec, name: str, text: str) -> Batch:
    """Conditions [N] with one attribute at a value, as text; UsageError lists what is known."""
    attribute = _found(spec, name)
    name = attribute.name
    try:
        columns = attribute.encode(find_spelling(text, attribute.values))
    except ValueError:
        wants = suggest_names(text, list(attribute.values)) if attribute.values else "a number"
        raise UsageError(f"{name}={text!r} is not a value this run knows; {wants}") from None
    changed = {name: rows.copy() for name, rows in conditions.items()}
    place = spec.column_slices()[name]
    changed["attributes"][:, place], changed["known"][:, place] = columns, True
    return changed


def _found(spec: Spec, name: str) -> Attribute:
    known = {attribute.name: attribute for attribute in spec.attributes}
    name = find_spelling(name, known)
    if name not in known:
        said = suggest_names(name, known) if known else "it knows none"
        raise UsageError(f"{name!r} is not an attribute of this run; {said}")
    return known[name]


def in_colour(conditions: Batch, spec: Spec, rgb: Sequence[int], swatches: dict) -> Batch:
    """Conditions [N] that ask for an sRGB colour in 0..255.

    Exactly, where the run knows colour_r, colour_g and colour_b; else by the nearest name of its
    attribute `colour` in CIEDE2000, of `swatches`: {name: rgb}. UsageError where it knows neither.
    """
    known = {attribute.name: attribute.values for attribute in spec.attributes}
    if set(packshot.COLOUR_CHANNELS) <= set(known):
        scale = 1 if _of_255(spec) else 255
        for name, level in zip(packshot.COLOUR_CHANNELS, rgb, strict=True):
            conditions = with_value(conditions, spec, name, str(level / scale))
        return conditions
    named = next((name for name in packshot.COLOUR_ATTRIBUTES if name in known), None)
    swatches = {name: rgb for name, rgb in swatches.items() if name in known.get(named, ())}
    if not swatches:
        raise UsageError(
            "this run hears no colour: it cannot draw a product in another one",
            f"use --method=classical, or train with an attribute {packshot.COLOUR_ATTRIBUTES[0]}",
        )
    asked = colorimetry.srgb_to_lab(np.asarray(rgb) / 255)
    gaps = {
        name: float(colorimetry.ciede2000(colorimetry.srgb_to_lab(np.asarray(value) / 255), asked))
        for name, value in swatches.items()
    }
    return with_value(conditions, spec, named, min(gaps, key=gaps.get))


def _of_255(spec: Spec) -> bool:
    """Whether colours are told in 0..255 rather than in 0..1."""
    first = _found(spec, packshot.COLOUR_CHANNELS[0])
    return first.mean + 2 * first.std > 1.5


def mixed(z: np.ndarray, conditions: Batch, share: Sequence[float]) -> tuple[np.ndarray, Batch]:
    """Latents [S, Z] and conditions from the first of two products [2, ...] to the second.

    Latents go along the great circle (White 2016), which keeps the length that the prior expects;
    numbers and angles go straight, what has no middle changes at one half.
    """
    t = np.asarray(share, np.float32)
    second = t >= 0.5
    label = np.where(second, *conditions["label"][::-1])
    known = np.where(second[:, None], *conditions["known"][::-1])
    line = (1 - t)[:, None] * conditions["attributes"][0] + t[:, None] * conditions["attributes"][1]
    nearer = np.where(second[:, None], *conditions["attributes"][::-1])
    both = conditions["known"].all(axis=0)
    mixture = {
        "label": label.astype(np.int32),
        "attributes": np.where(both, line, nearer).astype(np.float32),
        "known": known,
    }
    return great_circle(z[0], z[1], t), mixture


def great_circle(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Spherical interpolation [S, Z] between latents [Z] at shares [S]; lengths go straight."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    cosine = np.dot(a, b) / max(lengths[0] * lengths[1], 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))
    if min(lengths) < 1e-6 or np.sin(angle) < 1e-4:
        return ((1 - t)[:, None] * a + t[:, None] * b).astype(np.float32)
    unit = [a / lengths[0], b / lengths[1]]
    ways = [np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle)]
    length = (1 - t) * lengths[0] + t * lengths[1]
    turned = ways[0][:, None] * unit[0] + ways[1][:, None] * unit[1]
    return (length[:, None] * turned).astype(np.float32)
