"""What a walk assumes of a potential is compared with the potential before anything is sampled."""

import sys
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from nested.small_study import context, never, parsed, small

from thermosearch.nested.execute import execute
from thermosearch.runtime.errors import InputError

CELL = {"vectors": (4.0 * np.eye(3)).tolist()}
WRONG_PAIRS = """
import equinox as eqx
import jax.numpy as jnp

from thermosearch.potentials.interface import Potential, pair_vectors


class Lost(Potential):
    cutoff: float | None = eqx.field(static=True, default=2.0)
    elements: tuple[int, ...] | None = eqx.field(static=True, default=None)
    units: str = eqx.field(static=True, default="reduced")

    def pair_energy(self, r):  # a helper, not the method of rows.py: of r, without truncation
        return (r - 1.0) ** 2

    def energy(self, configuration, neighbours):
        vectors, filled = pair_vectors(configuration, neighbours)
        r = jnp.sqrt(jnp.sum(vectors**2, axis=-1))
        return 0.5 * jnp.sum(jnp.where(filled & (r < self.cutoff), self.pair_energy(r), 0.0))
"""


def study(**changes: Any) -> dict[str, Any]:
    content = small(**changes)
    content["method"] |= {"repeats": 1, "stop": {"iterations": 2}}
    return content


def einstein(pbc: list[bool]) -> dict[str, Any]:
    return study(
        potential={
            "analytic": "einstein",
            "parameters": {"sites": [[2.0] * 3] * 3, "spring": 4.0, "units": "reduced"},
        },
        system={"composition": {"Ar": 3}, "cell": {**CELL, "pbc": pbc}},
    )


def test_sites_in_space_do_not_repeat_with_a_cell(tmp_path: Path) -> None:
    for some in ([True] * 3, [False, True, False]):
        with pytest.raises(InputError, match=r"does not repeat .*\.pbc = \[false, false, false\]"):
            execute(parsed(einstein(some)), context(tmp_path / str(some), never, never))
    walls = execute(parsed(einstein([False] * 3)), context(tmp_path / "walls", never, never))
    assert walls.status == "finished"


@pytest.mark.parametrize(
    "system",
    [
        {"composition": {"Ar": 3}, "sphere": {"radius": 1.5, "about": "fixed_centre"}},
        {"composition": {"Ar": 3}, "cell": {**CELL, "pbc": [True] * 3}},
    ],
)
def test_a_method_that_only_has_the_name_is_noticed(
    system: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost.py").write_text(WRONG_PAIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "lost", raising=False)
    content = study(potential={"jax": "lost:Lost"}, system=system)
    with pytest.raises(InputError, match=r"energy is .*, but .* pair_energy .*nested/rows\.py"):
        execute(parsed(content), context(tmp_path, never, never))


@pytest.mark.parametrize("batching", ["loop", "lanes"])
def test_pairs_in_a_cell_are_sampled_either_way(batching: str, tmp_path: Path) -> None:
    """Every structure written has the energy that Lennard-Jones gives it."""
    content = study(
        potential={"analytic": "lennard_jones", "parameters": {"cutoff": 1.9}},
        system={"composition": {"Ar": 3}, "cell": {**CELL, "pbc": [True] * 3}},
    )
    content["method"] |= {"batching": batching, "structures_every": 4}
    execute(parsed(content), context(tmp_path, never, never))
    for atoms in ase.io.read(tmp_path / "structures" / "dead.extxyz", index=":"):
        apart = atoms.get_all_distances(mic=True)[np.triu_indices(3, 1)]
        r = apart[apart < 1.9]
        exact = float(np.sum(4.0 * (r**-12.0 - r**-6.0)))
        # The file has eight digits of the positions.
        assert atoms.info["potential_energy"] == pytest.approx(exact, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("batching", ["loop", "lanes"])
def test_a_cell_of_two_cutoffs_can_be_sampled(batching: str, tmp_path: Path) -> None:
    """11.2 / 2 and 5.6 differ in their last bits, more or less as the cell is inverted."""
    content = study(
        potential={"analytic": "stillinger_weber", "parameters": {"reach": 5.6 / 2.0951}},
        system={"composition": {"Si": 2}, "cell": {"vectors": (11.2 * np.eye(3)).tolist()}},
        analysis={"temperatures": [600.0, 3000.0, 4], "draws": 10, "quenched": 0},
    )
    content["method"] |= {"batching": batching, "moves": [{"name": "galilean"}]}
    assert execute(parsed(content), context(tmp_path, never, never)).status == "finished"
