"""A potential under which any crystal stands still: springs between given neighbours.

And the loop that samples a crystal with it.
"""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import Array, Configuration, pairs_within
from thermosearch.harmonic.crystal import Crystal, EffectiveCrystal
from thermosearch.harmonic.evaluation import evaluate_all, evaluate_requests
from thermosearch.harmonic.point import PointProblem
from thermosearch.harmonic.prepare import Elastic, Prepared, prepare
from thermosearch.harmonic.statistics import bath
from thermosearch.harmonic.variational import State, ask, begin, tell
from thermosearch.potentials.interface import Neighbours, Potential
from thermosearch.runtime.communicator import Communicator


class Springs(Potential):
    """Sum over bonds of k (d^2 / 2 - g d^3 / 3 + h d^4 / 4), d the change of the bond's length."""

    pairs: Int[Array, "b 2"]
    shift: Float[Array, "b 3"]
    length: Float[Array, " b"]
    stiffness: float
    cubic: float
    quartic: float
    cutoff: float | None = eqx.field(static=True, default=None)
    elements: tuple[int, ...] | None = eqx.field(static=True, default=None)
    units: Literal["eV", "reduced"] = eqx.field(static=True, default="eV")

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Of all bonds."""
        r = configuration.positions
        vectors = r[self.pairs[:, 1]] + self.shift @ configuration.cell - r[self.pairs[:, 0]]
        d = jnp.linalg.norm(vectors, axis=1) - self.length
        each = d**2 / 2.0 - self.cubic * d**3 / 3.0 + self.quartic * d**4 / 4.0
        return self.stiffness * jnp.sum(each)


class Quadratic(Potential):
    """The harmonic crystal itself."""

    centre: Float[Array, "n 3"]
    force_constants: Float[Array, "m m"]
    cutoff: float | None = eqx.field(static=True, default=None)
    elements: tuple[int, ...] | None = eqx.field(static=True, default=None)
    units: Literal["eV", "reduced"] = eqx.field(static=True, default="eV")

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Half of x Phi x."""
        x = (configuration.positions - self.centre).reshape(-1)
        return 0.5 * x @ (self.force_constants @ x)


def springs(
    crystal: Crystal, cutoff: float, *, stiffness: float = 4.0, cubic: float = 1.5
) -> Springs:
    """Bonds between all atoms nearer than the cutoff in the crystal as it stands."""
    i, j, shift, length = pairs_within(crystal.supercell, cutoff)
    pairs = np.stack([i, j], axis=1)
    return Springs(pairs, shift.astype(float), length, stiffness, cubic, 2.0)


def prepared(potential: Potential, crystal: Crystal, *, cell: bool) -> Prepared:
    ranks = Communicator()
    return prepare(crystal, lambda each: evaluate_all(potential, each, ranks), cell=cell)


def point(
    crystal: Crystal, elastic: Elastic, temperature: float, **changes: object
) -> PointProblem:
    settings: dict[str, object] = {
        "pressure": 0.0,
        "stream": (7,),
        "pairs": 16,
        "most_pairs": 512,
        "most_steps": 20,
        "error": 1e-4 * crystal.atoms,
        "strain_error": 2e-4,
        "statistics": "quantum",
    }
    settings |= changes
    at = bath(temperature, str(settings.pop("statistics")))
    return PointProblem(crystal, elastic, temperature, at, **settings)


def run_point(potential: Potential, problem: PointProblem, effective: EffectiveCrystal) -> State:
    ranks, state = Communicator(), begin(problem, effective)
    while not state.done:
        request = ask(problem, state)
        (found,) = evaluate_requests(potential, [request], ranks)
        state = tell(problem, state, request, found)
    return state
