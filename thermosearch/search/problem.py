"""What all seeds of a study share: potential, founder and degrees of freedom."""

from dataclasses import dataclass

from thermosearch.configuration import Configuration, validate
from thermosearch.potentials.interface import Potential
from thermosearch.search.degrees_of_freedom import DegreesOfFreedom, make_degrees_of_freedom
from thermosearch.search.founder import Founder, make_founder
from thermosearch.search.reference import diamond, relaxed_lattice_parameter
from thermosearch.search.study import SearchStudy


@dataclass(frozen=True)
class Problem:
    """The search before any seed is set.

    Attributes
    ----------
    potential : Potential
        Drives the search by its energy (a committee's mean).
    lattice_parameter : float or None
        Of the bulk a slab was cut from, A; None for a founder from a file.
    crystal : Configuration or None
        That bulk.
    founder : Founder
        The slab as cut.
    freedom : DegreesOfFreedom
        Of the moved atoms.
    """

    potential: Potential
    lattice_parameter: float | None
    crystal: Configuration | None
    founder: Founder
    freedom: DegreesOfFreedom


def make_problem(study: SearchStudy) -> Problem:
    """Load the potential, cut or read the founder, choose the degrees of freedom.

    Raises
    ------
    InputError
        If the potential does not know an element of the founder, atoms overlap, or none is left
        to move.
    """
    potential = study.potential.build(study.run.precision)
    lattice_parameter, crystal = None, None
    if study.system.slab is not None:
        slab = study.system.slab
        lattice_parameter = slab.lattice_parameter or relaxed_lattice_parameter(
            potential, slab.element
        )
        crystal = diamond(slab.element, lattice_parameter)
    founder = make_founder(study.system, lattice_parameter)
    validate(founder.configuration, elements=potential.elements, label="system")
    freedom = make_degrees_of_freedom(founder, study.method.depth_decay, study.method.window)
    return Problem(potential, lattice_parameter, crystal, founder, freedom)
