"""The committee's spread on dead points: wells whose members differ by a known factor."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float
from nested.conftest import ATOMS, cluster, run, sampler

from thermosearch.configuration import Array, Configuration
from thermosearch.nested.measures import Sphere
from thermosearch.potentials.ideal_gas import IdealGas
from thermosearch.potentials.interface import Committee, Neighbours


class Wells(Committee):
    """Members k_m r^2 / 2 of three springs around one."""

    springs: Float[Array, " members"]
    cutoff: None = eqx.field(static=True, default=None)
    elements: None = eqx.field(static=True, default=None)
    units: Literal["reduced"] = eqx.field(static=True, default="reduced")

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


@pytest.mark.parametrize("below", [0.0, 10.0])
def test_the_spread_counts_only_below_the_highest_temperature(below: float) -> None:
    """A prior of overlapping atoms may be as uncertain as it likes."""
    system = cluster(Wells(jnp.asarray(SPRINGS)), 1, Sphere(1.0, "fixed_centre"))
    found = run(sampler(system, ATOMS, 1), iterations=12, spread=1e-3, highest_kt=below)
    assert ("spread" in found.reason) == (below > 0.0)
