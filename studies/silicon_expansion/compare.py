"""Draw the expansion of a run beside the quasi-harmonic one of DFT.

    python studies/silicon_expansion/compare.py RUN_FOLDER REFERENCE.json OUTPUT.svg

REFERENCE.json is `model-CASTEP_ASE-test-qha_diamond-properties.json` of the reference data
(`silicon/castep_reference`): its expansion is linear, as its Grueneisen parameter and heat capacity
tell. The table goes to standard output.
"""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def main(run: str, reference: str, output: str) -> None:
    quantities = json.loads((Path(run) / "results.json").read_text())["quantities"]
    dft = json.loads(Path(reference).read_text())
    kelvin, alpha = (np.array(dft[f"qha_{name}"]) for name in ("temperature", "thermal_expansion"))
    figure = Figure(figsize=(5.4, 3.7), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(kelvin, 1e6 * alpha, label="DFT (CASTEP, PW91), quasi-harmonic")
    for approximation in ("quasi-harmonic", "effective harmonic"):
        t, value, error = curve(quantities, "thermal_expansion", approximation)
        axes.errorbar(t, 1e6 * value, 1e6 * error, marker="o", label=f"this run, {approximation}")
    axes.set_xlabel("temperature (K)")
    axes.set_ylabel("linear thermal expansion (1e-6/K)")
    axes.legend(frameon=False)
    figure.savefig(output)
    table(quantities, kelvin, alpha)


def curve(quantities: list[dict], name: str, approximation: str) -> Rows:
    """Temperatures, values and errors (0 where there is none)."""
    rows = [
        (each["conditions"]["T_K"], each["value"], each["error"] or 0.0)
        for each in quantities
        if each["name"] == name and each["conditions"].get("approximation") == approximation
    ]
    columns = np.array(sorted(rows)).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


def table(quantities: list[dict], kelvin: np.ndarray, alpha: np.ndarray) -> None:
    t, value, error = curve(quantities, "thermal_expansion", "effective harmonic")
    _, length, _ = curve(quantities, "lattice_parameter_a", "effective harmonic")
    print("T (K)   a (A)      alpha (1e-6/K)   DFT")
    for row in zip(t, length, 1e6 * value, 1e6 * error, strict=True):
        print(*(f"{x:8.4f}" for x in row), f"{1e6 * np.interp(row[0], kelvin, alpha):8.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
