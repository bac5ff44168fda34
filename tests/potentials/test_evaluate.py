"""Evaluation of many configurations: order, sizes, buckets, spread and wrong input."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from jaxtyping import Float
from potentials.structures import cluster, distorted_silicon

from thermosearch.configuration import Array, Configuration, from_ase
from thermosearch.potentials.evaluate import _loop, bucket, evaluate, uncertainty
from thermosearch.potentials.interface import Committee, Neighbours, refuse_without_spread
from thermosearch.potentials.members import members_of
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.runtime.errors import InputError


class Pair(Committee):
    """Stillinger-Weber and the same with other strengths: a committee whose spread is known."""

    base: StillingerWeber
    factors: Float[Array, " members"]
    cutoff: float | None = eqx.field(static=True)
    elements: tuple[int, ...] | None = eqx.field(static=True, default=(14,))
    units: Literal["eV", "reduced"] = eqx.field(static=True, default="eV")

    @property
    def members(self) -> int:
        return len(self.factors)

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        return jnp.mean(self.member_energies(configuration, neighbours))

    def member_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, " members"]:
        return self.factors * self.base.energy(configuration, neighbours)


@pytest.fixture(scope="module")
def mixed() -> list[Configuration]:
    """Crystals and clusters of four sizes, in mixed order."""
    frames = [distorted_silicon(1, 0), cluster(5, 2.4), distorted_silicon(1, 1), Atoms("Si")]
    frames += [distorted_silicon(1, 7).repeat((2, 1, 1)), cluster(5, 2.5, seed=3)]
    return [from_ase(atoms) for atoms in frames]


@pytest.mark.parametrize("batching", ["loop", "vmap"])
def test_many_sizes_at_once_are_one_at_a_time(
    mixed: list[Configuration], batching: Literal["loop", "vmap"]
) -> None:
    together = evaluate(StillingerWeber(), mixed, batching=batching)
    for configuration, found in zip(mixed, together, strict=True):
        alone = evaluate(StillingerWeber(), [configuration])[0]
        assert found.energy == pytest.approx(alone.energy, abs=1e-11)
        assert found.forces.shape == configuration.positions.shape
        assert found.forces.dtype == np.float64
        assert np.abs(found.forces - alone.forces).max() < 1e-11
        assert found.stress is None


def test_equal_shapes_are_compiled_once() -> None:
    frames = [from_ase(distorted_silicon(1, seed, rattle=0.05)) for seed in range(6)]
    evaluate(StillingerWeber(), frames, ("energy",))
    compiled = _loop._cached._cache_size()
    evaluate(StillingerWeber(epsilon=2.0), frames[::-1], ("energy",))
    assert _loop._cached._cache_size() == compiled


def test_nothing_gives_nothing() -> None:
    assert evaluate(StillingerWeber(), []) == []


def test_buckets_waste_a_quarter_at_most() -> None:
    sizes = np.arange(1, 5000)
    rounded = np.array([bucket(int(size)) for size in sizes])
    assert np.all(rounded >= sizes)
    assert np.all(rounded <= 1.25 * sizes)
    halves = np.array([bucket(int(size), steps=2) for size in sizes])
    assert np.all((sizes <= halves) & (halves <= 1.5 * sizes))
    assert len(set(rounded.tolist())) < 50


def test_spread_is_that_of_the_members(mixed: list[Configuration]) -> None:
    factors = np.array([0.9, 1.0, 1.25])
    base = StillingerWeber()
    committee = Pair(base, jnp.asarray(factors), base.cutoff)
    some = mixed[:3]
    exact = evaluate(base, some)
    for configuration, known, found in zip(some, exact, uncertainty(committee, some), strict=True):
        assert found.energy == pytest.approx(abs(known.energy) * factors.std(ddof=1), abs=1e-10)
        forces = np.linalg.norm(known.forces, axis=1) * factors.std(ddof=1)
        assert found.forces.shape == (len(configuration.numbers),)
        assert np.abs(found.forces - forces).max() < 1e-10
    energies_only = uncertainty(committee, mixed[:1], ("energy",))[0]
    assert energies_only.forces is None
    with pytest.raises(InputError, match="committee"):
        uncertainty(base, mixed)


@pytest.mark.parametrize("members", [0, 1])
def test_fewer_than_two_members_have_no_spread(mixed: list[Configuration], members: int) -> None:
    base = StillingerWeber()
    alone = Pair(base, jnp.ones(1), base.cutoff) if members else base
    assert members_of(alone) == []
    with pytest.raises(InputError, match=r"^uncertainty: .* committee of two"):
        uncertainty(alone, mixed)
    with pytest.raises(InputError, match=r"^uncertainty: .* committee of two"):
        alone.ase_calculator(uncertainty=True)
    with pytest.raises(InputError, match=r"method\.spread_limit: .* leave it out"):
        refuse_without_spread(alone, {"method.other": None, "method.spread_limit": 0.1})
    refuse_without_spread(alone, {"method.spread_limit": None})


def broken(kind: str) -> Configuration:
    atoms = bulk("Si", cubic=True)
    if kind == "nan":
        atoms.positions[2, 0] = np.nan
    if kind == "singular":
        atoms.cell[2] = atoms.cell[1]
    if kind == "element":
        atoms.symbols[3] = "Ge"
    if kind == "overlap":
        atoms.positions[5] = atoms.positions[4] + [0.0, 0.0, 0.01]
    if kind == "image":
        atoms.cell[2] = [0.0, 0.0, 0.05]
    return from_ase(atoms)


WRONG = {
    "nan": "structure 1: position of atom 2",
    "singular": "structure 1: the periodic cell vectors",
    "element": "structure 1: the potential does not know Ge; it knows Si",
    "overlap": "structure 1: atoms 4 and 5 overlap",
    "image": "structure 1: atoms . and . overlap",
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_structure_is_named_or_gives_nan(kind: str) -> None:
    frames = [from_ase(bulk("Si")), broken(kind)]
    with pytest.raises(InputError, match=WRONG[kind]) as refusal:
        evaluate(StillingerWeber(), frames)
    assert "\n" not in str(refusal.value)
    good, bad = evaluate(StillingerWeber(), frames, ("stress",), invalid="nan")
    assert np.isfinite(good.energy)
    assert np.isnan(bad.energy)
    assert bad.forces.shape == (8, 3)
    assert np.isnan(bad.forces).all()
    assert np.isnan(bad.stress).all()


def test_stress_of_a_cluster_without_a_cell_is_refused() -> None:
    with pytest.raises(InputError, match="no volume"):
        evaluate(StillingerWeber(), [from_ase(cluster(3, 2.4))], ("stress",))
    with pytest.raises(InputError, match="unknown"):
        evaluate(StillingerWeber(), [], ("force",))


def test_slab_with_and_without_a_cell_vector_across_is_the_same() -> None:
    slab = distorted_silicon(1)
    slab.pbc = [True, True, False]
    thin = slab.copy()
    thin.cell[2] = slab.cell[2] * 0.2  # a wrapped atom would show
    none = slab.copy()
    none.cell[2] = 0.0
    energies = [
        p.energy for p in evaluate(StillingerWeber(), [from_ase(a) for a in (slab, thin, none)])
    ]
    assert np.ptp(energies) < 1e-12
