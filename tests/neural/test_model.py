import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from thermosearch.configuration import Array, Configuration, from_ase
from thermosearch.neural import model as neural_model
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.model import NeuralPotential, with_precision
from thermosearch.neural.parts import joined, parts, single_member
from thermosearch.potentials.check import check_potential
from thermosearch.potentials.interface import Neighbours, energy_forces, energy_forces_stress
from thermosearch.potentials.neighbours_host import host_neighbours

CONFIG = ModelConfig(
    elements=("Si", "O"),
    cutoff=3.5,
    n_max=4,
    l_max=2,
    channels=2,
    radial=(4, 3, 3),
    couplings=((1, 1, 2),),
    coupling_channels=2,
    widths=(8, 6),
    members=2,
    precision="float64",
)


@pytest.fixture(scope="module")
def model() -> NeuralPotential:
    return NeuralPotential.initial(CONFIG, jax.random.key(0))


@pytest.fixture(scope="module")
def crystal() -> Configuration:
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.symbols[2] = "O"
    atoms.set_cell(atoms.cell @ np.array([[1, 0.05, 0], [0, 1, 0.1], [0, 0, 1]]), True)
    return from_ase(atoms)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_is_a_potential(
    model: NeuralPotential, crystal: Configuration, precision: Literal["float32", "float64"]
) -> None:
    check_potential(with_precision(model, precision), crystal, precision=precision)


@jax.jit
def _geometry_slopes(model: NeuralPotential, positions: Array, cell: Array, order: Array) -> tuple:
    """Energy and forces of turned, shifted and reordered atoms, all pairs of a cluster listed."""
    n = positions.shape[0]
    others = jnp.asarray([[j for j in range(n) if j != i] for i in range(n)], jnp.int32)
    slot = jnp.asarray([[i - (i > j) for j in range(n) if j != i] for i in range(n)], jnp.int32)
    listed = Neighbours(
        others,
        jnp.zeros((n, n - 1, 3), jnp.int32),
        others * (n - 1) + slot,
        jnp.asarray(n - 1, jnp.int32),
    )
    numbers = jnp.asarray([14, 14, 8, 14, 8, 14], jnp.int32)[order]
    free = jnp.zeros(3, bool)
    cluster = Configuration(positions, cell, free, numbers, jnp.zeros((), jnp.float64))
    found = energy_forces(model, cluster, listed)
    return found.energy, found.forces


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.floats(1.2, 4.0))
def test_energy_knows_neither_place_nor_direction_nor_order(
    model: NeuralPotential, seed: int, size: float
) -> None:
    rng = np.random.default_rng(seed)
    positions, order = size * rng.normal(size=(6, 3)), rng.permutation(6)
    turn = Rotation.random(random_state=seed % 2**31).as_matrix() * rng.choice([-1.0, 1.0])
    moved = (positions @ turn + 10.0 * rng.normal(size=3))[order]
    same, cell = jnp.arange(6), jnp.eye(3)
    energy, forces = _geometry_slopes(model, jnp.asarray(positions), cell, same)
    found, turned = _geometry_slopes(model, jnp.asarray(moved), cell, jnp.asarray(order))
    scale = 1.0 + float(jnp.abs(forces).max())
    np.testing.assert_allclose(found, energy, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(turned, (forces @ turn)[order], atol=1e-8 * scale)


def test_energy_is_the_mean_of_the_members(model: NeuralPotential, crystal: Configuration) -> None:
    neighbours = jax.tree.map(jnp.asarray, host_neighbours(crystal, model.cutoff))
    crystal = jax.tree.map(jnp.asarray, crystal)
    members = model.member_energies(crystal, neighbours)
    assert members.shape == (2,)
    assert abs(members[0] - members[1]) > 1e-3
    np.testing.assert_allclose(model.energy(crystal, neighbours), jnp.mean(members), rtol=1e-12)


def test_bounded_features_bound_the_learned_energy(model: NeuralPotential) -> None:
    """However far outside the data; well inside nothing changes."""
    config = dataclasses.replace(CONFIG, feature_bound=20.0)
    bounded = NeuralPotential.initial(config, jax.random.key(0))
    few = np.random.default_rng(0).normal(size=(6, bounded.feature_gain.shape[1]))
    species = jnp.zeros(6, jnp.int32)

    def energies(model: NeuralPotential, scale: float) -> Array:
        return model.network_energies(jnp.asarray(scale * few), species)

    np.testing.assert_allclose(energies(bounded, 1e-3), energies(model, 1e-3), atol=1e-7)
    far = energies(bounded, 1e8)
    np.testing.assert_allclose(energies(bounded, 1e10), far, rtol=1e-6)
    assert jnp.abs(energies(model, 1e8)).max() > 1e3 * jnp.abs(far).max()


def test_hessian_is_symmetric_and_the_slope_of_the_forces(
    model: NeuralPotential, crystal: Configuration
) -> None:
    neighbours = jax.tree.map(jnp.asarray, host_neighbours(crystal, model.cutoff))
    n = crystal.positions.size

    @jax.jit
    def slope(positions: Array) -> Array:
        moved = crystal._replace(positions=positions)
        return -energy_forces(model, moved, neighbours).forces.reshape(-1)

    start = jnp.asarray(crystal.positions)
    hessian = jax.jit(jax.jacrev(slope))(start).reshape(n, n)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)
    step = 1e-5
    for k in (0, 7, 13):
        moved = jnp.zeros(n).at[k].set(step).reshape(start.shape)
        difference = (slope(start + moved) - slope(start - moved)) / (2.0 * step)
        np.testing.assert_allclose(hessian[:, k], difference, atol=1e-7)


def test_blocks_of_atoms_give_what_all_atoms_give_together(
    model: NeuralPotential, crystal: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbours = jax.tree.map(jnp.asarray, host_neighbours(crystal, model.cutoff))
    crystal = jax.tree.map(jnp.asarray, crystal)

    def energies_and_slopes() -> tuple:
        # A new function each time: the size of the blocks is no argument that jit could see.
        @jax.jit
        def both(model: NeuralPotential) -> tuple:
            properties = energy_forces_stress(model, crystal, neighbours)
            return properties, jax.grad(NeuralPotential.energy)(model, crystal, neighbours)

        return both(model)

    together = energies_and_slopes()
    monkeypatch.setattr(neural_model, "_BLOCK", 3)
    blocks = energies_and_slopes()
    for found, expected in zip(jax.tree.leaves(blocks), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(("members", "descriptors"), [(2, 1), (2, 2), (4, 2)])
def test_a_member_alone_is_that_member(
    members: int, descriptors: int, crystal: Configuration
) -> None:
    config = dataclasses.replace(CONFIG, members=members, descriptors=descriptors)
    model = NeuralPotential.initial(config, jax.random.key(0))
    neighbours = jax.tree.map(jnp.asarray, host_neighbours(crystal, model.cutoff))
    crystal = jax.tree.map(jnp.asarray, crystal)
    together = model.member_energies(crystal, neighbours)
    alone = [single_member(model, k) for k in range(members)]
    np.testing.assert_allclose(
        [one.energy(crystal, neighbours) for one in alone], together, rtol=1e-12
    )
    # Members of one descriptor see the same features, those of two do not.
    seen = [np.asarray(one.features(crystal, neighbours)) for one in alone]
    share = members // descriptors
    for k, features in enumerate(seen):
        same = [np.allclose(features, other) for other in seen]
        assert same == [other // share == k // share for other in range(members)]


@pytest.mark.parametrize("elements", [("Si", "O"), ("Si",)])
def test_joined_models_are_their_mean_and_come_apart_again(
    elements: tuple[str, ...], crystal: Configuration
) -> None:
    """With several elements each model brings its own vectors of them."""
    config = dataclasses.replace(CONFIG, elements=elements)
    numbers = crystal.numbers if len(elements) == 2 else np.full_like(crystal.numbers, 14)
    crystal = jax.tree.map(jnp.asarray, crystal._replace(numbers=numbers))
    models = [NeuralPotential.initial(config, jax.random.key(seed)) for seed in range(3)]
    neighbours = jax.tree.map(jnp.asarray, host_neighbours(crystal, config.cutoff))
    alone = [model.member_energies(crystal, neighbours) for model in models]
    whole = joined(models)
    assert (whole.config.members, whole.config.descriptors) == (6, 3)
    np.testing.assert_allclose(
        whole.member_energies(crystal, neighbours), np.concatenate(alone), rtol=1e-12
    )
    np.testing.assert_allclose(whole.energy(crystal, neighbours), np.mean(alone), rtol=1e-12)
    again = [model.member_energies(crystal, neighbours) for model in parts(whole)]
    np.testing.assert_allclose(again, alone, rtol=1e-12)


def test_members_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="members = 4 do not divide into 3 parts"):
        dataclasses.replace(CONFIG, members=4, descriptors=3)
    with pytest.raises(ValueError, match="give `radial`"):
        dataclasses.replace(CONFIG, members=4, descriptors=2, radial=None, couplings=())


def test_unknown_element_is_not_a_number(model: NeuralPotential, crystal: Configuration) -> None:
    neighbours = jax.tree.map(jnp.asarray, host_neighbours(crystal, model.cutoff))
    crystal = jax.tree.map(jnp.asarray, crystal)
    numbers = np.array(crystal.numbers)
    numbers[0] = 79
    changed = crystal._replace(numbers=jnp.asarray(numbers))
    assert np.isnan(model.energy(changed, neighbours))


def test_config_survives_json_and_names_mistakes() -> None:
    assert ModelConfig.from_json(CONFIG.to_json()) == CONFIG
    with pytest.raises(ValueError, match="unknown model fields: widht"):
        ModelConfig.from_json({"elements": ["Si"], "widht": 3})
    with pytest.raises(ValueError, match="coupling"):
        dataclasses.replace(CONFIG, couplings=((1, 1, 1),))


def test_a_repulsion_beyond_the_cutoff_is_refused() -> None:
    """Two silicon atoms are 2.22 A apart by their covalent radii."""
    with pytest.raises(ValueError, match=r"reaches to 4.44 A, beyond the cutoff of 4 A"):
        ModelConfig(elements=("H", "Si"), cutoff=4.0, repulsion=(0.5, 2.0))
    assert ModelConfig(elements=("Si",), cutoff=4.5, repulsion=(0.5, 2.0)).cutoff == 4.5
