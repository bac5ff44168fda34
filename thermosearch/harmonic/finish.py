"""What is computed of a point once its loop has ended."""

import numpy as np
from jaxtyping import Float

from thermosearch.harmonic.chain import Campaign, Chain
from thermosearch.harmonic.crystal import Crystal, EffectiveCrystal, coordinate_masses
from thermosearch.harmonic.curvature import Curvature, curvature
from thermosearch.harmonic.integrate import Integrated, Walks, integrate_finely, whiten
from thermosearch.harmonic.mesh import gamma_frequencies, mesh_correction
from thermosearch.harmonic.model_error import ModelSpread, model_spread
from thermosearch.harmonic.point import Point, PointProblem
from thermosearch.harmonic.prepare import imaginary
from thermosearch.harmonic.statistics import (
    Bath,
    Modes,
    covariance,
    entropy,
    harmonic_free_energy,
    heat_capacity,
    normal_modes,
)
from thermosearch.harmonic.variational import State
from thermosearch.units import EV_PER_A3_IN_GPA


def finish(campaign: Campaign, chain: Chain, problem: PointProblem, state: State) -> Point:
    """Make the record of a point from the last state of its loop.

    Parameters
    ----------
    campaign : Campaign
        Study, potential and ranks.
    chain : Chain
        Phase and pressure.
    problem : PointProblem
        The point.
    state : State
        Done.
    """
    study = campaign.study
    crystal, at, effective, modes = chain.crystal, problem.at, state.effective, state.modes
    result = state.result
    masses = coordinate_masses(crystal.masses)
    harmonic = normal_modes(chain.prepared.force_constants, masses)
    unstable = imaginary(harmonic)
    spread = model_spread(
        campaign.potential,
        problem,
        state,
        study.method.member_samples,
        campaign.context.communicator,
    )
    integrated = _integrated(campaign, state, at)
    curved = None
    if study.method.curvature:
        count, pairs = study.method.curvature, study.method.samples
        ranks = campaign.context.communicator
        curved = curvature(campaign.potential, problem, state, ranks, count=count, pairs=pairs)
    correction = mesh_correction(crystal, effective, modes, at, study.analysis.mesh)
    pressure = result.pressure * EV_PER_A3_IN_GPA
    fixed = len(problem.elastic.strains) == 0
    return Point(
        phase=crystal.name,
        temperature=problem.temperature,
        pressure=float(np.trace(pressure)) / 3.0 if fixed else chain.pressure,
        effective=effective,
        unit_cell=_unit_cell(crystal, effective, state.drift.strain),
        strain_error=state.drift.strain_error,
        free_energy=result.free_energy,
        free_energy_error=result.free_energy_error,
        free_energy_mesh=None
        if correction.free_energy is None
        else result.free_energy + correction.free_energy,
        mesh_lowest=correction.lowest,
        harmonic_free_energy=None
        if unstable
        else chain.prepared.static + harmonic_free_energy(harmonic, at),
        imaginary=unstable,
        member_energies=None if spread is None else spread.free_energy,
        member_strains=None if spread is None else spread.strain,
        pressure_tensor=pressure,
        pressure_error=result.pressure_error * EV_PER_A3_IN_GPA,
        entropy=entropy(modes, at),
        heat_capacity=heat_capacity(modes, at),
        mean_square_displacements=_mean_squares(crystal, modes, at),
        gamma_frequencies=gamma_frequencies(crystal, effective),
        polar_frequencies=None
        if crystal.born is None
        else gamma_frequencies(crystal, effective, (1.0, 0.0, 0.0)),
        hessian_frequencies=None if curved is None else curved.hessian,
        hessian_error=None if curved is None else curved.error,
        soft_frequencies=None if curved is None else curved.effective,
        integrated=integrated,
        course=state.course,
        evaluations=_evaluations(state, spread, curved, integrated),
        converged=state.converged,
    )


def _mean_squares(crystal: Crystal, modes: Modes, at: Bath) -> Float[np.ndarray, "u 3 3"]:
    n = crystal.atoms
    blocks = covariance(modes, at).reshape(n, 3, n, 3)
    return np.array([blocks[i, :, i] for i in crystal.unit_atoms])


def _unit_cell(
    crystal: Crystal, effective: EffectiveCrystal, strain: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "3 3"]:
    cell = np.linalg.inv(crystal.supercell_matrix.T) @ effective.cell
    return cell @ (np.eye(3) + strain)


def _integrated(campaign: Campaign, state: State, at: Bath) -> Integrated | None:
    section = campaign.study.method.integration
    if section is None:
        return None
    effective = state.effective
    reference = whiten(
        effective.configuration(), state.modes, effective.static, at._replace(quantum=False)
    )
    walks = Walks(section.points, section.walkers, section.equilibration, section.samples)
    return integrate_finely(
        campaign.potential,
        reference,
        walks,
        max(section.points, section.most_points),
        seed=campaign.study.run.seed,
        communicator=campaign.context.communicator,
    )


def _evaluations(state: State, *others: ModelSpread | Curvature | Integrated | None) -> int:
    """Count the supercells evaluated: samples, their centroids, and what came after."""
    last = {row.step: row.pairs for row in state.course}
    own = sum(2 * pairs + 1 for pairs in last.values())
    return own + sum(each.evaluations for each in others if each is not None)
