"""Surface energies, members' opinions and success counts, against numbers known otherwise."""

import math
from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Committee, CommitteeMember, Neighbours
from thermosearch.potentials.members import members_of
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.search.evaluate import Relaxation
from thermosearch.search.founder import FROZEN, RELAXED, Founder
from thermosearch.search.members import RelaxedSlab, relax_with
from thermosearch.search.observables import SlabReference, spread, surface_energy, top_dimers
from thermosearch.search.problem import Problem
from thermosearch.search.quantities import (
    dimer_quantities,
    surface_quantities,
)
from thermosearch.search.reference import diamond, relaxed_lattice_parameter
from thermosearch.structure.surface import surface_area
from thermosearch.units import EV_PER_A2_IN_J_PER_M2

TO_THE_END = Relaxation(steps=200, force=0.005, minimum_distance=0.0, spread_limit=None)
STRENGTHS = (0.98, 1.0, 1.05)


class ThreeStrengths(Committee):
    """Stillinger-Weber with the depth of all bonds scaled: geometries alike, energies not."""

    silicon: StillingerWeber
    scales: Float[Array, " members"]
    cutoff: float = eqx.field(static=True)
    elements: tuple[int, ...] = eqx.field(static=True)
    units: str = eqx.field(static=True)
    members: int = eqx.field(static=True, default=len(STRENGTHS))

    def __init__(self) -> None:
        self.silicon = StillingerWeber()
        self.scales = jnp.asarray(STRENGTHS, jnp.float64)
        self.cutoff, self.elements, self.units = self.silicon.cutoff, (14,), "eV"

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        return jnp.mean(self.member_energies(configuration, neighbours))

    def member_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, " members"]:
        return self.scales * self.silicon.energy(configuration, neighbours)


def test_the_lattice_parameter_of_stillinger_weber(problem: Problem) -> None:
    # Bonds at 2^(1/6) sigma, so a = 2^(1/6) sigma 4 / sqrt(3).
    exact = 2 ** (1 / 6) * 2.0951 * 4 / math.sqrt(3)
    assert relaxed_lattice_parameter(problem.potential, "Si") == pytest.approx(exact, abs=2e-5)


def test_the_frozen_face_is_subtracted() -> None:
    # Two equal faces of 1.5 eV each; then one of them is lowered to 0.9 eV.
    configuration = diamond("Si", 5.0)
    founder = Founder(configuration, np.zeros(8, np.int64), np.zeros(8, np.int64))
    reference = SlabReference(bulk_per_atom=-4.0, ideal=8 * -4.0 + 2 * 1.5)
    per_area = EV_PER_A2_IN_J_PER_M2 / 25.0
    assert surface_area(configuration) == pytest.approx(25.0)
    assert surface_energy(founder, reference, reference.ideal) == pytest.approx(1.5 * per_area)
    assert surface_energy(founder, reference, reference.ideal - 0.6) == pytest.approx(
        0.9 * per_area
    )
    without_bulk = replace(reference, bulk_per_atom=None)
    assert surface_energy(founder, without_bulk, reference.ideal - 0.6) == pytest.approx(
        -0.6 * per_area
    )


def test_where_both_faces_are_searched_they_share_the_change(problem: Problem) -> None:
    founder = problem.founder
    area = surface_area(founder.configuration)
    reference = SlabReference(bulk_per_atom=None, ideal=-130.0)
    one, both = (
        surface_energy(founder._replace(both_faces=each), reference, -130.6)
        for each in (False, True)
    )
    assert one == pytest.approx(-0.6 / area * EV_PER_A2_IN_J_PER_M2)
    assert both == pytest.approx(one / 2.0)


def test_a_lower_face_that_may_relax_leaves_no_surface_energy(problem: Problem) -> None:
    reference = SlabReference(bulk_per_atom=-4.3, ideal=-130.0)
    founder = problem.founder
    slab = RelaxedSlab(reference, -131.0, founder.configuration.positions, 0, True)
    loose = founder._replace(role=np.where(founder.role == FROZEN, RELAXED, founder.role))
    counted = {}
    for name, each in (
        ("frozen", founder),
        ("loose", loose),
        ("both", loose._replace(both_faces=True)),
    ):
        found = surface_quantities(replace(problem, founder=each), [slab])
        counted[name] = [q.name for q in found]
    assert counted["loose"] == ["lattice_parameter_a"]
    assert counted["frozen"] == ["surface_energy", "surface_energy", "lattice_parameter_a"]
    assert counted["both"] == counted["frozen"]


def test_a_member_is_a_potential_of_its_own(problem: Problem) -> None:
    crystal = diamond("Si", 5.43)
    (whole,) = evaluate(StillingerWeber(), [crystal], ("energy",))
    members = members_of(ThreeStrengths())
    assert len(members) == 3
    for member, strength in zip(members, STRENGTHS, strict=True):
        (one,) = evaluate(member, [crystal], ("energy",))
        assert float(one.energy) == pytest.approx(strength * float(whole.energy), rel=1e-12)
    assert members_of(problem.potential) == []


def test_errors_are_the_spread_of_members_relaxed_each_for_itself(problem: Problem) -> None:
    members = members_of(ThreeStrengths())
    start = np.array(problem.founder.configuration.positions)
    start[problem.founder.moved] += [[0.0, 0.6, 0.0], [0.0, -0.6, 0.0]]
    # The middle one stands for the whole: one compilation serves all.
    slabs = [
        relax_with(each, problem.founder, problem.crystal, start, TO_THE_END)
        for each in (members[1], *members)
    ]
    surface, ideal, lattice = surface_quantities(problem, slabs)
    # Scaling all energies by s scales gamma by s and leaves the geometry.
    for found in (surface, ideal):
        assert found.error == pytest.approx(found.value * np.std(STRENGTHS, ddof=1), rel=1e-3)
    assert surface.value < 0.65 * ideal.value
    assert lattice.error is None
    count, length, angle = dimer_quantities(problem, slabs)
    assert (count.value, count.error) == (1.0, 0.0)
    assert length.value == pytest.approx(2.403, abs=3e-3)
    assert length.error < 3e-3
    assert angle.error < 0.5


def test_without_dimers_there_is_no_length(problem: Problem) -> None:
    reference = SlabReference(bulk_per_atom=-4.3, ideal=-130.0)
    cut = np.asarray(problem.founder.configuration.positions)
    assert len(top_dimers(problem.founder, cut).pairs) == 0
    slab = RelaxedSlab(reference, reference.ideal, cut, 0, True)
    (count,) = dimer_quantities(problem, [slab])
    assert (count.name, count.value) == ("dimers_per_cell", 0.0)


def test_the_spread_needs_two_members() -> None:
    assert spread([]) is None
    assert spread([1.0]) is None
    assert spread([1.0, 2.0, 4.0]) == pytest.approx(np.std([1, 2, 4], ddof=1))


def test_members_have_the_committees_settings() -> None:
    committee = ThreeStrengths()
    member = CommitteeMember(committee, np.asarray(1, np.int32))
    assert (member.cutoff, member.elements, member.units) == (committee.cutoff, (14,), "eV")
