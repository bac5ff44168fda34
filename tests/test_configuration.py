"""The configuration pytree: ASE in and out, padding, batches and validation."""

from typing import Any

import jax
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from hypothesis import given
from hypothesis import strategies as st

from thermosearch.configuration import PADDING, from_ase, pad, stack, to_ase, validate
from thermosearch.runtime.errors import InputError


@given(
    numbers=st.lists(st.integers(1, 94), min_size=1, max_size=6),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    charge=st.sampled_from([0.0, 1.0, -2.0]),
    more=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_ase_and_padding_there_and_back(
    numbers: list[int], pbc: tuple[bool, ...], charge: float, more: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    atoms = Atoms(
        numbers=numbers,
        positions=rng.normal(scale=20.0, size=(len(numbers), 3)),
        cell=rng.normal(size=(3, 3)),
        pbc=pbc,
        info={"total_charge": charge},
    )
    padded = pad(from_ase(atoms), len(numbers) + more)
    assert np.sum(padded.numbers == PADDING) == more
    back = to_ase(padded)
    assert np.array_equal(back.positions, atoms.positions)
    assert np.array_equal(back.numbers, atoms.numbers)
    assert np.array_equal(back.cell, atoms.cell)
    assert np.array_equal(back.pbc, atoms.pbc)
    assert back.info.get("total_charge", 0.0) == charge


def test_a_batch_is_a_pytree_with_a_leading_axis() -> None:
    frames = [pad(from_ase(atoms), 8) for atoms in (bulk("Si"), bulk("Si", cubic=True))]
    batch = stack(frames)
    assert batch.positions.shape == (2, 8, 3)
    assert batch.total_charge.shape == (2,)
    for k, frame in enumerate(frames):
        one = jax.tree.map(lambda field, k=k: field[k], batch)
        assert all(np.array_equal(a, b) for a, b in zip(one, frame, strict=True))
    with pytest.raises(ValueError, match="cannot pad 8 atoms to 4"):
        pad(frames[0], 4)


def test_an_atom_of_no_element_is_refused() -> None:
    with pytest.raises(InputError, match="atom 1 is of no element"):
        from_ase(Atoms("SiX", [[0, 0, 0], [2, 0, 0]]))


def test_good_structures_pass() -> None:
    slab = fcc111("Al", (1, 1, 2), vacuum=None)
    slab.pbc = [True, True, False]
    slab.cell[2] = 0.0
    for atoms in (bulk("Si"), slab, Atoms("H"), Atoms("H2", [[0, 0, 0], [0.74, 0, 0]])):
        validate(from_ase(atoms), elements=(1, 13, 14), closest=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": np.full((2, 3), np.inf)}, "position of atom 0"),
        ({"cell": np.full((3, 3), np.nan)}, "not finite"),
        ({"cell": np.zeros((3, 3))}, "span no volume"),
        ({"cell": np.ones((3, 3))}, "span no volume"),
        ({"total_charge": np.asarray(np.nan)}, "not finite"),
        ({"numbers": np.array([14, 8], np.int32)}, "does not know O; it knows Si"),
        ({"positions": np.zeros((2, 3))}, "atoms 0 and 1 overlap"),
        ({"positions": np.zeros((0, 3)), "numbers": np.zeros(0, np.int32)}, "no atoms"),
        # across the cell's face
        ({"positions": bulk("Si").cell[[0, 0]] * [[0.0], [1.0001]]}, "atoms 0 and 1 overlap"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(
    change: dict[str, Any], message: str
) -> None:
    configuration = from_ase(bulk("Si"))._replace(**change)
    with pytest.raises(InputError, match=message) as refusal:
        validate(configuration, elements=(14,), closest=0.1, label="frame 3")
    assert str(refusal.value).startswith("frame 3: ")
    assert "\n" not in str(refusal.value)
