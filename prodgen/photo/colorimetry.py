"""Colorimetry: sRGB, linear light, CIELAB and the CIEDE2000 colour difference.

Lab is CIELAB under D65, 2 degree observer: L* in [0, 100], a* and b* about -128 .. 127, float64.
A CIEDE2000 difference of 1 is just noticeable side by side. 2 to 3 is accepted as the same colour
in a catalogue; above 10 nobody calls it the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Linear sRGB to XYZ: IEC 61966-2-1's primaries and D65, unrounded (Lindbloom).
_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_FROM_XYZ = np.linalg.inv(_TO_XYZ)
_WHITE = _TO_XYZ.sum(axis=1)  # the matrix's own white, so that every grey has a* = b* = 0


def srgb_to_lab(pixels: np.ndarray) -> np.ndarray:
    """CIELAB float64 [..., 3] of sRGB pixels [..., 3], uint8 or float in [0, 1].

    A float outside [0, 1] (an image in [-1, 1], say) is a ValueError, never clipped.
    """
    pixels = np.asarray(pixels)
    if pixels.shape[-1:] != (3,):
        raise ValueError(f"sRGB pixels are [..., 3], not {list(pixels.shape)}")
    if pixels.dtype == np.uint8:
        light = srgb_to_linear(np.arange(256) / 255)[pixels]
    elif np.issubdtype(pixels.dtype, np.floating):
        if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):
            raise ValueError("sRGB floats lie in [0, 1]")
        light = srgb_to_linear(pixels.astype(np.float64))
    else:
        raise ValueError(f"sRGB pixels are uint8 or float, not {pixels.dtype}")
    xyz = light @ (_TO_XYZ / _WHITE[:, None]).T
    # CIELAB's f: a cube root, with a straight piece near black (CIE 15:2004).
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] to sRGB: the inverse of `linear`."""
    curve = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, light * 12.92, curve)


def lab_to_linear(colours: np.ndarray) -> np.ndarray:
    """Linear sRGB light float64 [..., 3] of Lab colours: outside [0, 1] where sRGB lacks them."""
    middle = (colours[..., 0] + 16) / 116
    f = np.stack([middle + colours[..., 1] / 500, middle, middle - colours[..., 2] / 200], -1)
    t = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    return (t * _WHITE) @ _FROM_XYZ.T


def ciede2000(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The CIEDE2000 difference [...] of Lab colours [..., 3], which broadcast; kL = kC = kH = 1.

    Sharma, Wu, Dalal 2005, "The CIEDE2000 color-difference formula", eqs. 2 to 22, in float64.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    l1, l2 = first[..., 0], second[..., 0]
    # Eqs. 2 to 7: a' = (1 + G) a*, then chroma C' and hue h'.
    chromas = [np.hypot(lab[..., 1], lab[..., 2]) for lab in (first, second)]
    g = 0.5 * (1 - np.sqrt(_chroma_saturation((chromas[0] + chromas[1]) / 2)))
    c1, h1 = _chroma_and_hue(first, g)
    c2, h2 = _chroma_and_hue(second, g)
    # Eqs. 8 to 11: differences, the hue's along the shorter arc.
    is_grey = c1 * c2 == 0  # the hue of a grey is not defined: it has no difference to others
    arc = h2 - h1
    arc = np.where(arc > 180, arc - 360, np.where(arc < -180, arc + 360, arc))
    delta_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.deg2rad(np.where(is_grey, 0, arc) / 2))
    # Eqs. 12 to 14: means; of hues the middle of the shorter arc, or the sum where one has no hue.
    lightness, chroma, hue_sum = (l1 + l2) / 2, (c1 + c2) / 2, h1 + h2
    opposite = np.where(hue_sum < 360, hue_sum + 360, hue_sum - 360) / 2
    hue = np.where(np.abs(h1 - h2) <= 180, hue_sum / 2, opposite)
    hue = np.where(is_grey, hue_sum, hue)
    # Eqs. 15 to 22: weights of lightness, chroma and hue, and the rotation of blue hues.
    t = (
        1
        - 0.17 * _cos(hue - 30)
        + 0.24 * _cos(2 * hue)
        + 0.32 * _cos(3 * hue + 6)
        - 0.20 * _cos(4 * hue - 63)
    )
    mid_lightness = np.square(lightness - 50)
    dl = (l2 - l1) / (1 + 0.015 * mid_lightness / np.sqrt(20 + mid_lightness))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = delta_hue / (1 + 0.015 * chroma * t)
    angle = 60 * np.exp(-np.square((hue - 275) / 25))
    rotation = -np.sin(np.deg2rad(angle)) * 2 * np.sqrt(_chroma_saturation(chroma))
    # Rounding alone may push a sum of nearly nothing below zero.
    return np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0))


def _chroma_saturation(chroma: np.ndarray) -> np.ndarray:
    """From 0 for a grey to 1 for a saturated colour: C^7 / (C^7 + 25^7)."""
    return chroma**7 / (chroma**7 + 25.0**7)


def _cos(degrees: np.ndarray) -> np.ndarray:
    return np.cos(np.deg2rad(degrees))


def _chroma_and_hue(colours: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C' and h' in [0, 360) degrees (Sharma's eqs. 5 to 7); the hue of a grey is 0."""
    a, b = (1 + g) * colours[..., 1], colours[..., 2]
    return np.hypot(a, b), np.rad2deg(np.arctan2(b, a)) % 360


def mean_colour_difference(pixels: np.ndarray, target: Sequence[float]) -> float:
    """CIEDE2000 between the mean of a product's pixels uint8 [N, 3] and a target sRGB colour.

    target: three values in 0..255. The mean is taken of sRGB values, as a table's columns
    colour_r, colour_g, colour_b are. No pixels: ValueError.
    """
    pixels = np.asarray(pixels)
    if pixels.ndim != 2 or not len(pixels):
        raise ValueError(f"a product's pixels are [N, 3] with N > 0, not {list(pixels.shape)}")
    mean = pixels.mean(axis=0, dtype=np.float64) / 255
    return float(ciede2000(srgb_to_lab(mean), srgb_to_lab(np.asarray(target, np.float64) / 255)))
