"""How a deployment looks: its name, its logo, and an accent colour that stays legible in the light and in the dark."""

from __future__ import annotations

from dataclasses import dataclass, field

Colour = tuple[int, int, int]
WHITE, BLACK = (255, 255, 255), (13, 17, 23)
# The card's colours in doorward.css, which accents stand on.
LIGHT, DARK = (255, 255, 255), (22, 27, 34)
# WCAG 2.2 §1.4.3 (AA), for text of any size.
CONTRAST = 4.5
LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Brand:
    """`sheet` is a style sheet of its own, empty without an accent colour."""

    name: str = "Doorward"
    logo: bytes | None = field(default=None, repr=False)
    logo_type: str = ""
    sheet: str = ""

    @property
    def is_ours(self) -> bool:
        """Nobody chose a look: ours has a sign of its own, which would fit no other."""
        return self.name == Brand().name and self.logo is None and not self.sheet


def colour(text: str) -> Colour:
    """Of `#rrggbb`; raises ValueError for everything else."""
    if len(text) != 7 or text[0] != "#":
        raise ValueError("a colour such as #4338ca is expected")
    value = int(text[1:], 16)
    return value >> 16, value >> 8 & 255, value & 255


def sheet(accent: str | None) -> str:
    """The accent's variables, each moved towards black or white until it can be read (WCAG 2.2)."""
    if accent is None:
        return ""
    light, dark = legible(colour(accent), LIGHT), legible(colour(accent), DARK)
    in_the_dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(dark, WHITE)} }} }}"
    return f":root {{ {_variables(light, BLACK)} }}\n{in_the_dark}\n"


def _variables(accent: Colour, hover_towards: Colour) -> str:
    on_accent = max((WHITE, BLACK), key=lambda text: contrast(text, accent))
    hover = _mixed(accent, hover_towards, 0.15)
    return f"--accent: {_hex(accent)}; --accent-hover: {_hex(hover)}; --on-accent: {_hex(on_accent)};"


def legible(accent: Colour, ground: Colour) -> Colour:
    towards = BLACK if _luminance(ground) > 0.5 else WHITE
    steps = (_mixed(accent, towards, step / 20) for step in range(21))
    return next(one for one in steps if contrast(one, ground) >= CONTRAST)


def contrast(one: Colour, other: Colour) -> float:
    """WCAG 2.2, contrast ratio: 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(of: Colour) -> float:
    red, green, blue = ((c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in of)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _hex(of: Colour) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in of)
