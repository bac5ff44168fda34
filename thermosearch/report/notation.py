"""How numbers, units and names are written for a reader: 1.283(21) J/m²."""

import math
import re
from collections.abc import Mapping
from typing import Any

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SCIENTIFIC_BELOW, SCIENTIFIC_FROM = -4, 7
CONDITION_DIGITS = 5
UNIT_NAMES = {"A": "Å", "deg": "°", "degree": "°", "degrees": "°", "us": "µs"}
ACRONYMS = {"mae": "MAE", "rmse": "RMSE", "cma": "CMA", "dft": "DFT"}
# Suffixes of keys such as `surface_energy_J_per_m2`, longest first where one ends another.
UNIT_SUFFIXES = {
    "_meV_per_atom": "meV/atom",
    "_eV_per_atom": "eV/atom",
    "_eV_per_A3": "eV/A^3",
    "_eV_per_A": "eV/A",
    "_J_per_m2": "J/m^2",
    "_A3": "A^3",
    "_meV": "meV",
    "_eV": "eV",
    "_epsilon": "epsilon",
    "_GPa": "GPa",
    "_deg": "deg",
    "_A": "A",
    "_K": "K",
    "_s": "s",
    "_fs": "fs",
}


def value_error(value: float | None, error: float | None = None, digits: int = 5) -> str:
    """Value with its standard error on the last digits, as in 1.283(21).

    The error keeps two digits when it starts with 1 or 2, else one.

    Parameters
    ----------
    value : float or None
        None and non-finite values give a dash.
    error : float or None
        Standard error, same unit. Without a finite, positive one the value stands alone.
    digits : int
        Significant digits of a value that stands alone.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if error is None or not math.isfinite(error) or error <= 0.0:
        return _plain(value, digits)
    largest = max(abs(value), error)
    exponent = math.floor(math.log10(largest))
    if not SCIENTIFIC_BELOW < exponent < SCIENTIFIC_FROM:
        scale = 10.0**exponent
        return f"{_paired(value / scale, error / scale)} × 10{_superscript(exponent)}"
    return _paired(value, error)


def unit(text: str | None) -> str:
    """Print a unit: `J/m^2` as J/m², `A` as Å, `deg` as °."""
    if not text or text == "1":
        return ""
    text = re.sub(r"[A-Za-z]+", lambda match: UNIT_NAMES.get(match[0], match[0]), text)
    for power in "23":
        text = text.replace(f"^{power}", power.translate(SUPERSCRIPTS))
    return text


def with_unit(number: str, unit_text: str | None) -> str:
    """Join number and unit with a no-break space between them (none before a degree sign)."""
    printed = unit(unit_text)
    return number + ("" if printed in {"", "°"} else "\u00a0") + printed


def label_of(units: Mapping[str, str | float], name: str, words: str = "") -> str:
    """Label of an axis or a column: a title (or the name), and the unit where the run states one.

    Parameters
    ----------
    units : mapping
        `units/NAME`.
    name : str
        `temperature`, `pressure`, `energy`, `volume`, `distance` or `wave_number`.
    words : str
        The title; by default the name.
    """
    return titled(words or name, str(units.get(f"units/{name}", "")))


def titled(words: str, unit_text: str | None) -> str:
    """Words and, where there is one, the unit in brackets: volume (Å³)."""
    printed = unit(unit_text)
    return f"{words} ({printed})" if printed else words


def title(key: str) -> str:
    """Name of a quantity or column: `surface_energy` as Surface energy."""
    words = " ".join(ACRONYMS.get(word, word) for word in str(key).strip("_ ").split("_"))
    return words[:1].upper() + words[1:]


def key_and_unit(key: str) -> tuple[str, str]:
    """Split `surface_energy_J_per_m2` into `surface_energy` and `J/m^2`; no unit gives ''."""
    for suffix, name in UNIT_SUFFIXES.items():
        if key.endswith(suffix) and len(key) > len(suffix):
            return key.removesuffix(suffix), name
    return key, ""


def conditions(values: dict[str, Any]) -> str:
    """Conditions of a quantity: `{"T_K": 300, "phase": "diamond"}` as T = 300 K, phase diamond."""
    parts = []
    for key, value in values.items():
        name, suffix = key_and_unit(str(key))
        name = name.replace("_", " ")
        if isinstance(value, bool) or not isinstance(value, int | float):
            parts.append(f"{name}: {value}")
        else:
            # A line breaks between conditions, not within one.
            number = with_unit(_plain(float(value), CONDITION_DIGITS), suffix)
            parts.append(f"{name} = {number}".replace(" ", "\u00a0"))
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Wall time in the two largest units that fit: 3 min 20 s."""
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest}\u00a0s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u00a0h {minutes}\u00a0min"


def _plain(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return _minus(text)
    mantissa, exponent = text.split("e")
    return f"{_minus(mantissa)} × 10{_superscript(int(exponent))}"


def _paired(value: float, error: float) -> str:
    mantissa, exponent = f"{error:.1e}".split("e")
    last = int(exponent) - (1 if float(mantissa) < 3.0 else 0)
    decimals = max(0, -last)
    # Adding zero turns -0.0 into 0.0.
    shown_value = f"{round(value, -last) + 0.0:.{decimals}f}"
    shown_error = f"{round(error, -last):.{decimals}f}"
    if float(shown_error) < 1.0:
        shown_error = str(int(shown_error.replace(".", "")))
    return f"{_minus(shown_value)}({shown_error})"


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _superscript(exponent: int) -> str:
    return str(exponent).translate(SUPERSCRIPTS)
