"""Stillinger-Weber silicon against matscipy and against what the paper says."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import stillinger_weber
from potentials.structures import cluster, distorted_silicon

from thermosearch.configuration import from_ase
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.stillinger_weber import StillingerWeber


def by_matscipy(atoms: Atoms) -> Atoms:
    # matscipy rounds cos(theta_0) to twelve digits
    parameters = stillinger_weber.Stillinger_Weber_PRB_31_5262_Si | {"costheta0": 1.0 / 3.0}
    atoms.calc = Manybody(**stillinger_weber.StillingerWeber(parameters))
    return atoms


def test_is_that_of_matscipy() -> None:
    frames = [by_matscipy(distorted_silicon(2, seed)) for seed in range(4)]
    found = evaluate(StillingerWeber(), [from_ase(atoms) for atoms in frames], ("stress",))
    for atoms, got in zip(frames, found, strict=True):
        assert abs(got.energy - atoms.get_potential_energy()) < 1e-8
        assert np.abs(got.forces - atoms.get_forces()).max() < 1e-8
        assert np.abs(got.stress - atoms.get_stress(voigt=False)).max() < 1e-8


def test_float32_is_near() -> None:
    configuration = from_ase(distorted_silicon(1))
    exact = evaluate(StillingerWeber(), [configuration])[0]
    single = evaluate(StillingerWeber(precision="float32"), [configuration])[0]
    assert single.energy.dtype == np.float64
    assert 0.0 < abs(single.energy - exact.energy) < 1e-5
    assert np.abs(single.forces - exact.forces).max() < 1e-4


def test_triplets_of_a_cluster_are_counted_one_by_one() -> None:
    """The moment sum against the double loop of the paper's equation."""
    atoms = cluster(7, 2.4)
    sw = StillingerWeber()
    eps, sig, cut = 2.1683, 2.0951, sw.cutoff
    total = 0.0
    for i, centre in enumerate(atoms.positions):
        rays = np.delete(atoms.positions, i, axis=0) - centre
        r = np.linalg.norm(rays, axis=1)
        rays, r = rays[r < cut], r[r < cut]
        pair = 7.049556277 * (0.6022245584 * (sig / r) ** 4 - 1.0) * np.exp(sig / (r - cut))
        total += 0.5 * eps * pair.sum()
        g = np.exp(1.2 * sig / (r - cut))
        for j in range(len(r)):
            for k in range(j):
                cosine = rays[j] @ rays[k] / (r[j] * r[k])
                total += 21.0 * eps * g[j] * g[k] * (cosine + 1.0 / 3.0) ** 2
    assert evaluate(sw, [from_ase(atoms)])[0].energy == pytest.approx(total, abs=1e-10)


def test_diamond_is_what_the_paper_fitted() -> None:
    """Minimum of the pair function at 2^(1/6) sigma, depth epsilon, so -2 epsilon an atom."""
    lattice = 4.0 / np.sqrt(3.0) * 2.0 ** (1.0 / 6.0) * 2.0951
    configuration = from_ase(bulk("Si", cubic=True, a=lattice))
    found = evaluate(StillingerWeber(), [configuration], ("stress",))[0]
    assert found.energy / 8 == pytest.approx(-2.0 * 2.1683, abs=1e-4)
    assert np.abs(found.stress).max() < 1e-5
