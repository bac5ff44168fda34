"""Lattice parameter of silicon by molecular dynamics, beside that of an effective harmonic run.

    python studies/silicon_expansion/dynamics.py RUN_FOLDER [PICOSECONDS]

At every temperature from 600 K up, Langevin trajectories of 64 atoms with the shipped model, in the
cell of the run and in one 0.3 % longer; the lattice parameter is where the mean pressure vanishes.
Classical, as the run should be (`statistics = "classical"`); no harmonic potential is in it.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ase.build import bulk

from thermosearch import from_ase, load_potential
from thermosearch.configuration import Configuration
from thermosearch.harmonic.evaluation import Request, evaluate_requests
from thermosearch.potentials.interface import Potential
from thermosearch.relax.md import molecular_dynamics
from thermosearch.runtime.communicator import Communicator
from thermosearch.units import BOLTZMANN_EV_PER_K, EV_PER_A3_IN_GPA

TIME_STEP, FRICTION, EVERY = 2.0, 2e-3, 10
"""fs, 1/fs, and steps between pressures."""
EQUILIBRATION = 2.0
"""ps left out."""
BLOCK = 1.0
"""ps, longer than pressures are correlated."""
LONGER = 1.003


def main(run: str, picoseconds: str = "20") -> None:
    """Print both lattice parameters at every temperature."""
    potential = load_potential("silicon")
    quantities = json.loads((Path(run) / "results.json").read_text())["quantities"]
    cells = sorted(
        (each["conditions"]["T_K"], each["value"])
        for each in quantities
        if each["name"] == "lattice_parameter_a"
        and each["conditions"]["approximation"] == "effective harmonic"
    )
    print("T (K)  a of the run (A)  pressure there (GPa)  a by dynamics (A)")
    for kelvin, a in cells:
        if kelvin < 600.0:
            continue
        near, far = (
            pressures(
                potential,
                from_ase(bulk("Si", cubic=True, a=b).repeat(2)),
                kelvin,
                seed,
                picoseconds,
            )
            for seed, b in enumerate((a, LONGER * a))
        )
        slope = (far.mean() - near.mean()) / ((LONGER - 1.0) * a)
        zeros = a - near / slope
        print(
            f"{kelvin:5.0f}  {a:.5f}  {near.mean():+.3f} +- {standard_error(near):.3f}  "
            f"{zeros.mean():.5f} +- {standard_error(zeros):.5f}  "
            f"bulk modulus {-slope * a / 3.0:.0f} GPa",
            flush=True,
        )


def pressures(
    potential: Potential, start: Configuration, kelvin: float, seed: int, picoseconds: str
) -> np.ndarray:
    """Mean pressure of every block of a trajectory, GPa; the centre of mass left out."""
    steps = round((float(picoseconds) + EQUILIBRATION) * 1e3 / TIME_STEP)
    chunks = molecular_dynamics(
        potential,
        [start],
        steps=steps,
        time_step=TIME_STEP,
        temperature=kelvin,
        friction=FRICTION,
        seed=seed,
        record_every=EVERY,
        trajectory=True,
    )
    positions = np.concatenate([chunk.positions[0] for chunk in chunks])
    left_out = round(EQUILIBRATION * 1e3 / TIME_STEP / EVERY)
    request = Request(start, np.asarray(positions[left_out:], np.float64))
    stresses = evaluate_requests(potential, [request], Communicator())[0].stresses
    volume = abs(np.linalg.det(start.cell))
    kinetic = (len(start.numbers) - 1) * BOLTZMANN_EV_PER_K * kelvin / volume
    values = (kinetic - np.trace(stresses, axis1=1, axis2=2) / 3.0) * EV_PER_A3_IN_GPA
    size = round(BLOCK * 1e3 / TIME_STEP / EVERY)
    return values[: len(values) // size * size].reshape(-1, size).mean(axis=1)


def standard_error(values: np.ndarray) -> float:
    """Of the mean of independent blocks."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


if __name__ == "__main__":
    main(*sys.argv[1:])
