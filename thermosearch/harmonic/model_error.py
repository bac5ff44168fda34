"""What the members of a committee say of the same sample.

To first order in the difference of two potentials the free energy changes by its average over
the sample, <U_m - U>: the Gibbs-Bogoliubov inequality from either side.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.averages import pressures
from thermosearch.harmonic.cell import drift, pull
from thermosearch.harmonic.evaluation import Request, evaluate_requests
from thermosearch.harmonic.point import PointProblem
from thermosearch.harmonic.regression import Sample
from thermosearch.harmonic.variational import State, refitted
from thermosearch.potentials.interface import Potential, has_spread
from thermosearch.potentials.members import members_of
from thermosearch.runtime.communicator import Communicator


class ModelSpread(NamedTuple):
    """Differences of the members from their mean.

    Attributes
    ----------
    free_energy : (members,) float64
        eV of the supercell.
    strain : (members,) float64
        Mean linear strain that each would give the cell; zero where the cell is fixed.
    evaluations : int
        Of single members.
    """

    free_energy: Float[np.ndarray, " members"]
    strain: Float[np.ndarray, " members"]
    evaluations: int


def model_spread(
    potential: Potential, problem: PointProblem, state: State, samples: int, ranks: Communicator
) -> ModelSpread | None:
    """Evaluate every member on the first configurations of the last sample.

    Parameters
    ----------
    potential : Potential
        None comes back where it has no spread.
    problem : PointProblem
        The point.
    state : State
        Its last state.
    samples : int
        Configurations; rounded up to two pairs at least.
    ranks : Communicator
        Share the configurations.
    """
    if not has_spread(potential) or samples == 0:
        return None
    count = min(max(4, samples + samples % 2), len(state.sample.energies))
    x = state.sample.displacements[:count]
    at_rest = state.effective.configuration()
    request = Request(at_rest, state.effective.centroids + x.reshape(count, -1, 3))
    energies, strains = [], []
    for member in members_of(potential):
        (found,) = evaluate_requests(member, [request], ranks)
        forces = found.forces.reshape(count, -1)
        sample = Sample(x, found.energies, forces, found.stresses, np.full(count, 1.0 / count))
        energies.append(float(sample.energies.mean()))
        strains.append(_strain(problem, state, sample))
    members = np.array(energies)
    return ModelSpread(
        members - members.mean(),
        np.array(strains) - np.mean(strains),
        len(members) * count,
    )


def _strain(problem: PointProblem, state: State, sample: Sample) -> float:
    each = pressures(problem.crystal, state.effective, state.modes, problem.at, sample)
    fitted = refitted(problem, state.effective, state.modes, sample)
    found = pull(problem, state.effective, state.modes, sample, each, fitted=fitted)
    moved = drift(problem, state.modes, found)
    return float(np.trace(moved.strain)) / 3.0
