"""How colours look: contrast, distance, and what a colour vision deficiency leaves of them.

Distance is CIEDE2000 in CIELAB (Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula", Color Research and
Application 30, 2005). Deficiencies are simulated after Machado, Oliveira and Fernandes, "A Physiologically-based Model
for Simulation of Color Vision Deficiency", IEEE Transactions on Visualization and Computer Graphics 15, 2009, with the
matrices for full severity, applied to linear RGB.
"""

from __future__ import annotations

from math import atan2, cos, degrees, exp, hypot, radians, sin, sqrt
from typing import TypeAlias

Linear: TypeAlias = tuple[float, float, float]
"""Red, green and blue of sRGB, each from 0 to 1 in proportion to light."""
Lab: TypeAlias = tuple[float, float, float]

DEFICIENCIES: dict[str, tuple[Linear, Linear, Linear]] = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.95047, 1.0, 1.08883)


def linear(colour: str) -> Linear:
    """A colour like ``#rrggbb`` in proportion to light."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours, from 1 to 21."""
    lights = [0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in map(linear, (one, other))]
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def seen(colour: str, deficiency: str | None = None) -> Lab:
    """A colour in CIELAB as it looks with a deficiency, or without one."""
    light = linear(colour)
    if deficiency is not None:
        red, green, blue = (
            min(1.0, max(0.0, sum(weight * part for weight, part in zip(row, light, strict=True))))
            for row in DEFICIENCIES[deficiency]
        )
        light = red, green, blue
    return _lab(light)


def _lab(light: Linear) -> Lab:
    def root(value: float) -> float:
        return value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116

    x, y, z = (
        root(sum(weight * part for weight, part in zip(row, light, strict=True)) / white)
        for row, white in zip(_XYZ, _WHITE, strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one: Lab, other: Lab) -> float:
    """CIEDE2000; about 1 is the least difference seen between large patches side by side."""
    mean_chroma = (hypot(*one[1:]) + hypot(*other[1:])) / 2
    stretch = 1.5 - sqrt(mean_chroma**7 / (mean_chroma**7 + 25**7)) / 2
    (light_1, chroma_1, hue_1), (light_2, chroma_2, hue_2) = (
        (light, hypot(a * stretch, b), degrees(atan2(b, a * stretch)) % 360) for light, a, b in (one, other)
    )
    turn = (hue_2 - hue_1 + 180) % 360 - 180 if chroma_1 * chroma_2 else 0.0
    mean_light, mean_chroma = (light_1 + light_2) / 2, (chroma_1 + chroma_2) / 2
    mean_hue = (hue_1 + turn / 2) % 360 if chroma_1 * chroma_2 else hue_1 + hue_2
    by_hue = (
        1
        - 0.17 * cos(radians(mean_hue - 30))
        + 0.24 * cos(radians(2 * mean_hue))
        + 0.32 * cos(radians(3 * mean_hue + 6))
        - 0.20 * cos(radians(4 * mean_hue - 63))
    )
    off = (mean_light - 50) ** 2
    lightness = (light_2 - light_1) / (1 + 0.015 * off / sqrt(20 + off))
    chroma = (chroma_2 - chroma_1) / (1 + 0.045 * mean_chroma)
    hue = 2 * sqrt(chroma_1 * chroma_2) * sin(radians(turn / 2)) / (1 + 0.015 * mean_chroma * by_hue)
    tilt = 60 * exp(-(((mean_hue - 275) / 25) ** 2))
    rotation = -2 * sqrt(mean_chroma**7 / (mean_chroma**7 + 25**7)) * sin(radians(tilt))
    return sqrt(lightness**2 + chroma**2 + hue**2 + rotation * chroma * hue)
