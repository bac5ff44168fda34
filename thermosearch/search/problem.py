"""What all seeds of a study share: potential, founder and degrees of freedom."""

from dataclasses import dataclass

from thermosearch.configuration import Configuration, from_ase, validate
from thermosearch.potentials.interface import Potential, refuse_reduced, refuse_without_spread
from thermosearch.runtime.errors import InputError
from thermosearch.search.builders import read_bulk
from thermosearch.search.degrees_of_freedom import DegreesOfFreedom, make_degrees_of_freedom
from thermosearch.search.founder import Founder, make_founder
from thermosearch.search.reference import crystal_of, relaxed_bulk, relaxed_lattice_parameter
from thermosearch.search.study import MethodSection, SearchStudy


@dataclass(frozen=True)
class Problem:
    """The search before any seed is set.

    Attributes
    ----------
    potential : Potential
        Drives the search by its energy (a committee's mean).
    lattice_parameter : float or None
        Of the bulk a slab was cut from, A; None where that is not known.
    crystal : Configuration or None
        That bulk.
    founder : Founder
        The structure as built.
    freedom : DegreesOfFreedom
        Of the moved atoms.
    method : MethodSection
        Of the study.
    """

    potential: Potential
    lattice_parameter: float | None
    crystal: Configuration | None
    founder: Founder
    freedom: DegreesOfFreedom
    method: MethodSection


def make_problem(study: SearchStudy) -> Problem:
    """Load the potential, cut or read the founder, choose the degrees of freedom.

    Raises
    ------
    InputError
        If the potential does not know an element of the founder, or is one in reduced units and
        the founder a slab, atoms overlap, none is left to move, a symmetry is missing, or engines
        side by side have no common budget.
    """
    method = study.method
    if len(method.engines) > 1 and method.budget is None:
        raise InputError(
            "method.engines: side by side they need one budget: give method.budget "
            "(energy+force calls of each seed)"
        )
    potential = study.potential.build(study.run.precision)
    limits = {
        "method.spread_limit": method.spread_limit,
        "method.spread_penalty": method.spread_penalty,
    }
    refuse_without_spread(potential, limits)
    lattice_parameter, crystal = None, None
    if study.system.slab is not None:
        slab = study.system.slab
        lattice_parameter = slab.lattice_parameter or relaxed_lattice_parameter(
            potential, slab.element, slab.surface
        )
        crystal = crystal_of(slab.element, lattice_parameter, slab.surface)
    bulk = None
    if study.system.cut is not None and study.system.cut.relax:
        bulk = relaxed_bulk(potential, from_ase(read_bulk(study.system.cut)))
    founder = make_founder(study.system, lattice_parameter, bulk)
    validate(founder.configuration, elements=potential.elements, label="system")
    if founder.is_slab:
        refuse_reduced(potential, "a slab and its surface energy need eV and A")
    if founder.added:
        # Its atoms have no place yet, so the slab with them is no reference for anything.
        lattice_parameter, crystal = None, None
    freedom = make_degrees_of_freedom(founder, method.depth_decay, method.window)
    return Problem(potential, lattice_parameter, crystal, founder, freedom, method)
