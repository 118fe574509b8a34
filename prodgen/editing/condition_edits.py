"""Edits of a product's conditions: an attribute at another value, another colour.

They need a generator that was trained with the attribute; attribute_direction.py moves the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prodgen.config.registry import suggest_names
from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Batch, Spec
from prodgen.data.conditions import Conditions
from prodgen.data.known_names import encode_text, find_name
from prodgen.metrics import packshot
from prodgen.photo import colorimetry


def set_attribute(conditions: Batch, spec: Spec, name: str, text: str) -> Batch:
    """Conditions [N] with one attribute at a value, as text; UsageError lists the known ones."""
    attribute = find_attribute(spec, name)
    try:
        values = encode_text(attribute, text)
    except ValueError:
        hint = suggest_names(text, list(attribute.values)) if attribute.values else "a number"
        raise UsageError(
            f"{attribute.name}={text!r} is not a value this run knows; {hint}",
            "choose a known value",
        ) from None
    new_conditions = {key: rows.copy() for key, rows in conditions.items()}
    columns = spec.column_slices()[attribute.name]
    new_conditions["attributes"][:, columns], new_conditions["known"][:, columns] = values, True
    return new_conditions


def find_attribute(spec: Spec, name: str) -> Attribute:
    """The attribute of a name, spelt loosely; UsageError lists the known ones."""
    attributes = {attribute.name: attribute for attribute in spec.attributes}
    name = find_name(name, attributes)
    if name not in attributes:
        hint = suggest_names(name, attributes) if attributes else "it knows none"
        raise UsageError(
            f"{name!r} is not an attribute of this run; {hint}", "choose a known attribute"
        )
    return attributes[name]


def select_trained_swatches(swatches: dict, conditions: Conditions) -> dict:
    """The swatches {name: rgb} without those that a run knows and has no training image of."""
    attributes = [a for a in conditions.spec.attributes if a.name in packshot.COLOUR_ATTRIBUTES]
    known_names = {name for attribute in attributes for name in attribute.values}
    trained_names = {name for one in attributes for name in conditions.trained_values(one)}
    absent_names = known_names - trained_names
    return {name: rgb for name, rgb in swatches.items() if name not in absent_names}


def set_colour(conditions: Batch, spec: Spec, rgb: Sequence[int], swatches: dict) -> Batch:
    """Conditions [N] of an sRGB colour in 0..255.

    The exact colour, where the run knows colour_r, colour_g and colour_b; else the nearest name of
    its attribute `colour` in CIEDE2000, of `swatches`: {name: rgb}. UsageError where it knows
    neither.
    """
    values = {attribute.name: attribute.values for attribute in spec.attributes}
    if set(packshot.COLOUR_CHANNELS) <= set(values):
        # Some data sets have levels in 0..255, some in 0..1.
        red = find_attribute(spec, packshot.COLOUR_CHANNELS[0])
        scale = 1 if red.mean + 2 * red.std > 1.5 else 255
        for name, level in zip(packshot.COLOUR_CHANNELS, rgb, strict=True):
            conditions = set_attribute(conditions, spec, name, str(level / scale))
        return conditions
    attribute = next((name for name in packshot.COLOUR_ATTRIBUTES if name in values), None)
    swatches = {name: rgb for name, rgb in swatches.items() if name in values.get(attribute, ())}
    if not swatches:
        raise UsageError(
            "this run was trained without colours: it cannot draw a product in another one",
            "choose the method classical, or a run that was trained with the attribute "
            f"{packshot.COLOUR_ATTRIBUTES[0]}",
        )
    target = colorimetry.srgb_to_lab(np.asarray(rgb) / 255)
    delta_e = {
        name: float(colorimetry.ciede2000(colorimetry.srgb_to_lab(np.asarray(value) / 255), target))
        for name, value in swatches.items()
    }
    return set_attribute(conditions, spec, attribute, min(delta_e, key=delta_e.get))
