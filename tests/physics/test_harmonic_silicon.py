"""Stillinger-Weber silicon: the bound, the integrated free energy, and the supercell's size."""

from pathlib import Path

import pytest

import thermosearch
from thermosearch.runtime.results import Quantity, Results


def silicon(folder: Path, repeat: int, *, error: float) -> Results:
    """Classical crystal in a fixed cell at 300 and 1000 K, with the integration."""
    study = {
        "kind": "harmonic",
        "potential": {"analytic": "stillinger_weber"},
        "system": {
            "phases": [
                {
                    "name": "diamond",
                    "bulk": {"formula": "Si", "structure": "diamond", "a": 5.431},
                    "supercell": [repeat] * 3,
                }
            ]
        },
        "method": {
            "temperatures": [300.0, 1000.0],
            "statistics": "classical",
            "cell": "fixed",
            "error": error,
            "quasi_harmonic": False,
            "integration": {"points": 4, "walkers": 16, "samples": 200},
        },
        "run": {"seed": 3},
    }
    return thermosearch.run(study, output=folder / f"silicon_{repeat}", quiet=True)


def at(results: Results, name: str, kelvin: float) -> Quantity:
    (found,) = (
        each
        for each in results.quantities
        if each.name == name
        and each.conditions.get("T_K") == kelvin
        and each.conditions.get("approximation") == "effective harmonic"
    )
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_integrated_free_energy_lies_below_the_bound(tmp_path: Path) -> None:
    results = silicon(tmp_path, 2, error=2e-5)
    for kelvin in (300.0, 1000.0):
        bound, integrated = (
            at(results, name, kelvin) for name in ("free_energy", "free_energy_integrated")
        )
        gap, apart = (
            at(results, name, kelvin) for name in ("anharmonic_gap", "integration_difference")
        )
        joint = (bound.error**2 + integrated.error**2) ** 0.5
        print(kelvin, bound, integrated, gap, apart, sep="\n")  # noqa: T201 - for validation.md
        assert integrated.value <= bound.value + 2.0 * joint
        assert abs(apart.value) < 3.0 * apart.error
        # The bound of the walks at l = 0 is the loop's own, from other samples.
        assert abs(bound.value + gap.value - integrated.value) < 4.0 * (joint + gap.error)
    assert at(results, "anharmonic_gap", 1000.0).value < -5e-4


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_mesh_takes_most_of_the_supercell_out(tmp_path: Path) -> None:
    small, large = silicon(tmp_path, 2, error=5e-5), silicon(tmp_path, 3, error=5e-5)
    for kelvin in (300.0, 1000.0):
        apart = {}
        for name in ("free_energy", "free_energy_mesh", "anharmonic_gap"):
            one, other = at(small, name, kelvin), at(large, name, kelvin)
            apart[name] = (one.value - other.value, (one.error**2 + other.error**2) ** 0.5)
        print(kelvin, apart)  # noqa: T201 - for validation.md
        size, mesh = abs(apart["free_energy"][0]), abs(apart["free_energy_mesh"][0])
        assert mesh < 0.1 * size + 3.0 * apart["free_energy_mesh"][1]
