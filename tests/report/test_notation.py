import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermosearch.report.notation import (
    conditions,
    duration,
    key_and_unit,
    title,
    unit,
    value_error,
    with_unit,
)


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (1.2834, 0.0213, "1.283(21)"),
        (2.3012, 0.0093, "2.301(9)"),
        (-5.4249, 0.0031, "−5.425(3)"),
        (16.43, 1.21, "16.4(1.2)"),
        (1280.0, 96.0, "1280(100)"),
        (8123.0, 2100.0, "8100(2100)"),
        (5.0, 0.96, "5.0(1.0)"),
        (-0.001, 0.5, "0.0(5)"),
        (1.2e-7, 3e-9, "1.20(3) × 10⁻⁷"),
        (3.0e9, 2.0e7, "3.000(20) × 10⁹"),
        (2.34567891, None, "2.3457"),
        (2.5, 0.0, "2.5"),
        (2.5, math.nan, "2.5"),
        (math.nan, 1.0, "–"),
        (None, None, "–"),
    ],
)
def test_value_and_error(value: float | None, error: float | None, expected: str) -> None:
    assert value_error(value, error) == expected


@given(
    st.floats(-1e5, 1e5),
    st.floats(1.1e-3, 1e5),
)
def test_value_and_error_can_be_read_back(value: float, error: float) -> None:
    text = value_error(value, error)
    number, bracket = re.fullmatch(r"(−?[\d.]+)\(([\d.]+)\)", text).groups()
    decimals = len(number.partition(".")[2])
    unbracketed = float(bracket) if "." in bracket else float(bracket) * 10.0**-decimals
    # One digit of 3 to 9 rounds by at most a sixth, two digits of 10 to 29 by a twentieth.
    assert unbracketed == pytest.approx(error, rel=0.5 / 3.0 + 1e-9)
    assert abs(float(number.replace("−", "-")) - value) <= 0.5 * error / 3.0 + error / 6.0 + 1e-9


def test_units_names_and_conditions() -> None:
    assert unit("J/m^2") == "J/m²"
    assert unit("meV/atom") == "meV/atom"
    assert unit("eV/A^3") == "eV/Å³"
    assert unit("1") == ""
    assert with_unit("16.4(1.2)", "deg") == "16.4(1.2)°"
    assert with_unit("2.301(9)", "A") == "2.301(9)\u00a0Å"
    assert title("surface_energy") == "Surface energy"
    assert title("force_mae") == "Force MAE"
    assert key_and_unit("surface_energy_J_per_m2") == ("surface_energy", "J/m^2")
    assert key_and_unit("energy_mae_meV_per_atom") == ("energy_mae", "meV/atom")
    assert key_and_unit("energy_epsilon") == ("energy", "epsilon")
    assert key_and_unit("hits") == ("hits", "")
    assert conditions({"T_K": 300, "phase": "liquid"}) == "T\u00a0=\u00a0300\u00a0K, phase: liquid"
    assert conditions({"model_error": 3.16e-7, "p_GPa": 7.82145129}) == (
        "model\u00a0error\u00a0=\u00a03.16\u00a0×\u00a010⁻⁷, p\u00a0=\u00a07.8215\u00a0GPa"
    )


def test_durations() -> None:
    assert duration(3.25) == "3.2\u00a0s"
    assert duration(200.2) == "3\u00a0min 20\u00a0s"
    assert duration(2 * 3600 + 125.0) == "2\u00a0h 2\u00a0min"
