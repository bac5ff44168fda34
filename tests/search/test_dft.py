"""DFT beside a search: single points over the ASE bridge, and a scanning tunnelling picture.

Needs GPAW (Debian: gpaw, gpaw-data); GPAW_PYTHON names its Python, /usr/bin/python3 by default.
"""

import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import diamond100
from ase.calculators.socketio import SocketIOCalculator

from thermosearch.configuration import from_ase
from thermosearch.potentials.ase_bridge import CalculatorPotential
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.registry import load_potential
from thermosearch.relax.minimise import minimise

PYTHON = os.environ.get("GPAW_PYTHON", "/usr/bin/python3")
SCRIPT = Path(__file__).parents[2] / "scripts" / "gpaw_slab.py"
HAS_GPAW = subprocess.run([PYTHON, "-c", "import gpaw"], capture_output=True, check=False)

pytestmark = [
    pytest.mark.dft,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(HAS_GPAW.returncode != 0, reason=f"{PYTHON} has no GPAW"),
]


def cut() -> Atoms:
    """Return four layers of Si(001) 2x1 as cut."""
    atoms = diamond100("Si", size=(1, 2, 4), a=5.47, vacuum=5.0)
    return Atoms(atoms, pbc=(True, True, False), info={})


def buckled() -> Atoms:
    """Return the cut with its two top atoms a dimer of 2.33 A that leans by 17 degrees."""
    atoms = cut()
    one, two = np.argsort(atoms.positions[:, 2])[-2:]
    middle = 0.5 * (atoms.positions[one] + atoms.positions[two]) - [0.0, 0.0, 0.25]
    tilt = math.radians(17.0)
    half = 0.5 * 2.33 * np.array([0.0, math.cos(tilt), math.sin(tilt)])
    if atoms.positions[two, 1] < atoms.positions[one, 1]:
        one, two = two, one
    atoms.positions[one], atoms.positions[two] = middle - half, middle + half
    return atoms


@pytest.fixture
def potential(tmp_path: Path) -> Iterator[CalculatorPotential]:
    """GPAW in its own process as a potential of the package."""
    ase.io.write(tmp_path / "slab.extxyz", cut())

    def launch(atoms: Atoms, properties: object, port: object, unixsocket: str) -> subprocess.Popen:
        del atoms, properties, port
        command = [PYTHON, str(SCRIPT), "socket", str(tmp_path / "slab.extxyz"), unixsocket]
        return subprocess.Popen(command)

    name = f"thermosearch_{os.getpid()}"
    with SocketIOCalculator(unixsocket=name, launch_client=launch) as calculator:
        yield CalculatorPotential(calculator)


def test_single_points_by_gpaw(potential: CalculatorPotential) -> None:
    model, start = load_potential("silicon", "float64"), from_ase(buckled())
    upper = start.positions[:, 2] > np.median(start.positions[:, 2])
    (relaxed,) = minimise(model, [start], mobile=upper, force_tolerance=0.02, width=1)
    assert relaxed.converged
    best = relaxed.configuration
    top = int(np.argmax(best.positions[:, 2]))
    shift = np.zeros_like(best.positions)
    shift[top, 2] = 0.03
    below, above = (best._replace(positions=best.positions + s * shift) for s in (-1.0, 1.0))
    ideal, dimer, lower, higher = evaluate(potential, [from_ase(cut()), best, below, above])
    # 1.4 to 2.2 eV a dimer on thick slabs.
    assert -2.5 < dimer.energy - ideal.energy < -1.0
    slope = (higher.energy - lower.energy) / 0.06
    assert -slope == pytest.approx(dimer.forces[top, 2], abs=0.05)


def test_filled_states_stand_on_the_upper_atom_of_a_dimer(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "slab.extxyz", buckled())
    files = [str(tmp_path / "slab.extxyz"), str(tmp_path / "stm.npz")]
    subprocess.run([PYTHON, str(SCRIPT), "stm", *files], check=True)
    with np.load(tmp_path / "stm.npz") as found:
        filled, empty = found["heights_-1.5"], found["heights_1.5"]
        cell, positions = found["cell"], found["positions"]

    def over(heights: np.ndarray, atom: int) -> float:
        fraction = (positions[atom, :2] @ np.linalg.inv(cell)) % 1.0
        i, j = np.round(fraction * heights.shape).astype(int) % heights.shape
        return float(heights[i, j])

    upper, lower = np.argsort(positions[:, 2])[:-3:-1]
    contrast = over(filled, upper) - over(filled, lower)
    assert contrast > 0.3
    assert over(empty, upper) - over(empty, lower) < contrast
