"""The same product from other sides: conditions with another azimuth and elevation."""

from __future__ import annotations

import numpy as np

from prodgen.core.errors import UsageError
from prodgen.core.types import Attribute, Batch, Spec
from prodgen.editing.editable_model import EditableModel

AZIMUTH, ELEVATION = "azimuth", "elevation"  # the attributes' names
NUM_ELEVATIONS = 3  # of a sheet of views


def camera_attributes(spec: Spec) -> tuple[Attribute, Attribute | None]:
    """The azimuth and elevation of the camera; UsageError without an azimuth."""
    attributes = {attribute.name: attribute for attribute in spec.attributes}
    if AZIMUTH not in attributes or attributes[AZIMUTH].kind == "categorical":
        names = f"it knows {', '.join(attributes)}" if attributes else "it knows no attributes"
        raise UsageError(
            f"this run has not learnt from which side a product is seen; {names}",
            f"train on pictures with a column {AZIMUTH} in degrees (docs/data.md), as the embedded "
            "catalogue has it",
        )
    return attributes[AZIMUTH], attributes.get(ELEVATION)


def decode_turntable(
    model: EditableModel, z: np.ndarray, conditions: Batch, frames: int
) -> tuple[np.ndarray, Batch]:
    """A product at z [Z] from all around, at the elevation of its conditions of one row.

    Images uint8 [frames, R, R, C] and their conditions. UsageError without an azimuth.
    """
    spec = model.conditions.spec
    azimuth, _ = camera_attributes(spec)
    angles = turntable_azimuths(azimuth, frames)
    views = set_viewpoints(conditions, spec, azimuth, None, angles, [float("nan")])
    return model.decode(np.repeat(z[None], frames, axis=0), views), views


def turntable_azimuths(azimuth: Attribute, frames: int) -> list[float]:
    """Evenly spaced degrees of a full turn; two deviations about the mean of a plain number."""
    if azimuth.kind == "angle":
        return [float(x) for x in np.arange(frames) * 360 / frames]
    low, high = (azimuth.mean + side * 2 * azimuth.std for side in (-1, 1))
    return [float(x) for x in np.linspace(low, high, frames)]


def sheet_elevations(elevation: Attribute | None) -> list[float]:
    """Elevations from low to high, one deviation about the mean; nan where none is known."""
    if elevation is None or elevation.kind != "number":
        return [float("nan")]
    return [float(x) for x in elevation.mean + np.linspace(-1, 1, NUM_ELEVATIONS) * elevation.std]


def set_viewpoints(
    conditions: Batch, spec: Spec, azimuth: Attribute, elevation: Attribute | None,
    azimuths: list[float], elevations: list[float],
) -> Batch:  # fmt: skip
    """Conditions of every elevation and azimuth, in reading order, from those of one row.

    A value nan leaves the attribute as it is.
    """
    count = len(azimuths) * len(elevations)
    views = {name: rows.repeat(count, axis=0) for name, rows in conditions.items()}
    grid = [(e, a) for e in elevations for a in azimuths]
    for row, viewpoint in enumerate(grid):
        for attribute, value in zip((elevation, azimuth), viewpoint, strict=True):
            if attribute is not None and not np.isnan(value):
                columns = spec.column_slices()[attribute.name]
                views["attributes"][row, columns] = attribute.encode(value)
                views["known"][row, columns] = True
    return views
