"""The committee's spread on dead points: wells whose members differ by a known factor."""

import sys
from pathlib import Path
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float
from nested.conftest import ATOMS, cluster, run, sampler
from nested.small_study import context, never, parsed, small

from thermosearch.configuration import Array, Configuration
from thermosearch.nested.caution import CautiousCommittee
from thermosearch.nested.execute import execute
from thermosearch.nested.measures import Sphere
from thermosearch.potentials.ideal_gas import IdealGas
from thermosearch.potentials.interface import Committee, Neighbours


class Wells(Committee):
    """Members k_m r^2 / 2 of three springs around one."""

    springs: Float[Array, " members"]
    cutoff: None = eqx.field(static=True, default=None)
    elements: None = eqx.field(static=True, default=None)
    units: Literal["reduced"] = eqx.field(static=True, default="reduced")

    @property
    def members(self) -> int:
        return len(self.springs)

    def member_energies(self, configuration: Configuration, neighbours: Neighbours) -> Array:
        return 0.5 * self.springs * jnp.sum(configuration.positions**2)

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Array:
        return jnp.mean(self.member_energies(configuration, neighbours))


SPRINGS = np.array([0.9, 1.0, 1.1])


def test_spread_is_that_of_the_members_and_can_end_a_run() -> None:
    system = cluster(Wells(jnp.asarray(SPRINGS)), 1, Sphere(1.0, "fixed_centre"))
    found = run(sampler(system, ATOMS, 1), iterations=4)
    value = np.concatenate(found.history.columns["value"])
    spread = np.concatenate(found.history.columns["spread"])
    np.testing.assert_allclose(spread, value * np.std(SPRINGS, ddof=1), rtol=1e-12)
    ended = run(sampler(system, ATOMS, 1), iterations=50, spread=1e-3, highest_kt=10.0)
    assert ended.reason == "a committee spread above 0.001"


def test_without_members_there_is_no_spread() -> None:
    system = cluster(IdealGas(), 1, Sphere(1.0, "fixed_centre"))
    found = run(sampler(system, ATOMS, 1), iterations=1)
    assert np.isnan(found.history.columns["spread"]).all()


class Meeting(Wells):
    """Atoms that no repulsion keeps from meeting at their one site; with a cutoff, and a list."""

    cutoff: float = eqx.field(static=True, default=2.0)


def meeting() -> Meeting:
    return Meeting(jnp.asarray(SPRINGS))


def test_atoms_that_overlap_have_a_spread_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hole is what the spread is there to show: at the lowest kT atoms are 0.02 apart."""
    monkeypatch.setitem(sys.modules, "of_this_test", sys.modules[__name__])
    content = small(analysis={"temperatures": [1e-4, 1e-3, 3], "draws": 10, "quenched": 0})
    content["potential"] = {"jax": "of_this_test:meeting"}
    content["method"] |= {"repeats": 1, "structures_every": 1, "stop": {"prior_mass": -25.0}}
    arrays = execute(parsed(content), context(tmp_path, never, never)).arrays
    energy, spread = (
        arrays[f"curves/0/{name}"] for name in ("internal_energy", "committee_spread")
    )
    np.testing.assert_allclose(spread, energy / 3 * np.std(SPRINGS, ddof=1), rtol=0.5)


@pytest.mark.parametrize("below", [1e-6, 10.0])
def test_the_spread_counts_only_below_the_highest_temperature(below: float) -> None:
    """A prior of overlapping atoms may be as uncertain as it likes."""
    system = cluster(Wells(jnp.asarray(SPRINGS)), 1, Sphere(1.0, "fixed_centre"))
    found = run(sampler(system, ATOMS, 1), iterations=12, spread=1e-3, highest_kt=below)
    assert ("spread" in found.reason) == (below > 1.0)


class Holed(Wells):
    """One well that the members agree on, and a deeper one that only the first of them has."""

    def member_energies(self, configuration: Configuration, neighbours: Neighbours) -> Array:
        well = 0.5 * self.springs * jnp.sum(configuration.positions**2)
        place = configuration.positions[0] - jnp.array([0.7, 0.0, 0.0])
        return well - jnp.array([9.0, 0.0, 0.0]) * jnp.exp(-0.5 * jnp.sum(place**2) / 0.15**2)


def test_a_limit_of_the_spread_keeps_walkers_out_of_holes() -> None:
    """The hole is 3 deep and has a spread of 5; elsewhere nothing changes."""
    holed = Holed(jnp.ones(3))
    lowest = []
    for potential in (holed, CautiousCommittee(holed, jnp.asarray(0.05))):
        system = cluster(potential, 1, Sphere(1.0, "fixed_centre"))
        found = run(sampler(system, ATOMS, 1), iterations=25)
        best = int(np.argmin(found.state.value))
        lowest.append((found.state.value[best], found.state.walkers.positions[0, 0, best]))
    assert lowest[0][0] < -2.0 and lowest[0][1] > 0.5
    assert 0.0 <= lowest[1][0] < 0.05 and abs(lowest[1][1]) < 0.3
