"""How much the members of a committee disagree on walkers."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from thermosearch.configuration import Array
from thermosearch.nested.walker import System, Walker


@eqx.filter_jit
def committee_spread(system: System, walkers: Walker) -> Float[Array, " w"]:
    """Sample standard deviation of the members' energies, an atom.

    Parameters
    ----------
    system : System
        Whose potential is a `Committee`.
    walkers : Walker
        A batch; their neighbours fit the system's lists.
    """

    def one(walker: Walker) -> Float[Array, ""]:
        configuration = system.configuration(walker)
        neighbours = system.finder.find(configuration)
        energies = system.potential.member_energies(configuration, neighbours)
        return jnp.std(energies, ddof=1) / system.atoms

    return jax.lax.map(one, jax.tree.map(lambda a: jnp.moveaxis(a, -1, 0), walkers))
