"""One walker, and the system that says what its energy is and where it may go."""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array, Configuration
from thermosearch.nested.finders import NeighbourFinder
from thermosearch.nested.measures import Measure, length_squared, to_cartesian, to_fractional
from thermosearch.potentials.interface import Neighbours, Potential, energy_forces
from thermosearch.potentials.neighbours_device import UNANSWERABLE


class Walker(NamedTuple):
    """Configurations on their way; the last axis of every field is the walker's.

    Attributes
    ----------
    positions : (n, 3, w) float64
        Cartesian.
    cell : (3, 3, w) float64
        Rows are the lattice vectors.
    numbers : (n, w) int32
        Atomic numbers.
    energy : (w,) float64
        Potential energy.
    kinetic : (w,) float64 or None
        Kinetic energy, where the momenta are sampled too.
    """

    positions: Float[Array, "n 3 *w"]
    cell: Float[Array, "3 3 *w"]
    numbers: Int[Array, " n *w"]
    energy: Float[Array, "*w"]
    kinetic: Float[Array, "*w"] | None = None


@runtime_checkable
class PairPotential(Protocol):
    """A potential that is a sum over pairs and says so: moving one atom then costs one row."""

    def pair_energy(self, squared: Float[Array, "*pairs"]) -> Float[Array, "*pairs"]:
        """Energies of pairs at these squared distances, truncation included."""
        ...


class System(eqx.Module):
    """What is sampled: the energy, the measure it is sampled under, and who may move.

    Attributes
    ----------
    potential : Potential
        Gives the energy.
    measure : Measure
        Gives the prior and the quantity whose contours are walked under.
    finder : NeighbourFinder
        Lists the neighbours.
    pbc : (3,) tuple of bool
        Which lattice directions repeat.
    atoms : int
        How many there are.
    mobile : tuple of int
        Those that move; the others are frozen.
    species : tuple of int
        Atomic numbers that mobile atoms may change between; none where each keeps its own.
    chemical_potentials : (species,) float64 or None
        Of these; the contour is then on the value less sum_s mu_s N_s.
    highest_kinetic : () float64 or None
        Bound of the kinetic energy where the momenta are sampled too; the contour is then on the
        sum of both.
    """

    potential: Potential
    measure: Measure
    finder: NeighbourFinder
    pbc: tuple[bool, bool, bool] = eqx.field(static=True)
    atoms: int = eqx.field(static=True)
    mobile: tuple[int, ...] = eqx.field(static=True)
    species: tuple[int, ...] = eqx.field(static=True, default=())
    chemical_potentials: Float[Array, " species"] | None = None
    highest_kinetic: Float[Array, ""] | None = None

    def configuration(self, walker: Walker) -> Configuration:
        """One walker, without an axis of its own, as potentials know it."""
        return Configuration(
            positions=walker.positions,
            cell=walker.cell,
            pbc=jnp.asarray(self.pbc),
            numbers=walker.numbers,
            total_charge=jnp.zeros((), jnp.float64),
        )

    def value(self, walker: Walker) -> Float[Array, "*w"]:
        """Return what the contours bound, the kinetic energy included where there is one."""
        value = self.configurational_value(walker)
        return value if self.highest_kinetic is None else value + walker.kinetic

    def configurational_value(self, walker: Walker) -> Float[Array, "*w"]:
        """Return the energy, or the enthalpy where the cell is free.

        Where species change, sum_s mu_s N_s of the mobile atoms is taken off.
        """
        value = self.measure.value(walker.energy, walker.cell)
        if self.chemical_potentials is None:
            return value
        numbers = walker.numbers[self.moving]
        for number, potential in zip(self.species, self.chemical_potentials, strict=True):
            value = value - potential * jnp.sum(numbers == number, axis=0, dtype=jnp.float64)
        return value

    def energy(self, walker: Walker) -> tuple[Float[Array, "*w"], Int[Array, "*w"]]:
        """Energies of the walkers where they stand, and the neighbour slots that took.

        Sums over pairs need no lists of neighbours.
        """
        if self.sums_pairs:
            return self._sum_of_pairs(walker), jnp.zeros(walker.energy.shape, jnp.int32)

        def one(walker: Walker) -> tuple[Float[Array, ""], Int[Array, ""]]:
            configuration = self.configuration(walker)
            neighbours = self.finder.find(configuration)
            energy = self.potential.energy(configuration, neighbours)
            return _answered(neighbours, energy)

        return _for_each(one, walker)

    def energy_gradient(
        self, walker: Walker
    ) -> tuple[Float[Array, "*w"], Float[Array, "n 3 *w"], Int[Array, "*w"]]:
        """Energies, their gradients (zero on frozen atoms), and the neighbour slots they took."""
        moves = np.zeros((self.atoms, 1), bool)
        moves[self.moving] = True

        def one(walker: Walker) -> tuple[Float[Array, ""], Float[Array, "n 3"], Int[Array, ""]]:
            configuration = self.configuration(walker)
            neighbours = self.finder.find(configuration)
            found = energy_forces(self.potential, configuration, neighbours)
            energy, needed = _answered(neighbours, found.energy)
            return energy, jnp.where(moves, -found.forces, 0.0), needed

        return _for_each(one, walker)

    def energy_after(
        self, walker: Walker, moved: Walker, atom: Int[Array, ""]
    ) -> Float[Array, "*w"]:
        """Energies once one atom has moved, where they are sums over pairs.

        Only what changes is summed: its rounding error is that of energies as large as
        the contour, and the walk ends with a sum over all pairs.
        """
        difference = self._row(walker, moved.positions[atom], atom) - self._row(
            walker, walker.positions[atom], atom
        )
        return walker.energy + difference

    @property
    def sums_pairs(self) -> bool:
        """Whether one atom's move costs one row of pairs."""
        return isinstance(self.potential, PairPotential)

    def _sum_of_pairs(self, walker: Walker) -> Float[Array, "*w"]:
        """Half of all rows, and the pairs of every atom with its own images."""

        def add(total: Array, atom: Array) -> tuple[Array, None]:
            return total + self._row(walker, walker.positions[atom], atom), None

        def without_pairs(walker: Walker) -> Float[Array, ""]:
            return self.potential.energy(self.configuration(walker), _nobody(self.atoms))

        atoms = jnp.arange(self.atoms, dtype=jnp.int32)
        rows, _ = jax.lax.scan(add, jnp.zeros_like(walker.energy), atoms)
        images = self.atoms * self._own_images(walker.cell)
        # A potential may add what is no pair: the mean of those beyond its cutoff.
        return 0.5 * (rows + images) + _for_each(without_pairs, walker)

    def _own_images(self, cell: Float[Array, "3 3 *w"]) -> Float[Array, "*w"]:
        """Energies of the pairs of an atom with its images."""
        if not any(self.pbc):
            return jnp.zeros(cell.shape[2:], jnp.float64)
        shifts = self._images()
        itself = jnp.all(shifts == 0.0, axis=1)[:, None]
        every = jnp.broadcast_to(shifts[..., None], (*shifts.shape, *cell.shape[2:]))
        return self._pairs(to_cartesian(every, cell), itself)

    def _images(self) -> Float[Array, "images 3"]:
        """Lattice translations to the images looked at, the atom itself among them."""
        ranges = (range(-k, k + 1) for k in self.finder.images)
        return jnp.asarray(list(product(*ranges)), jnp.float64)

    def _row(
        self, walker: Walker, place: Float[Array, " 3 *w"], atom: Int[Array, ""]
    ) -> Float[Array, "*w"]:
        """Energies of the pairs of an atom at some place with all others and their images."""
        itself = (jnp.arange(self.atoms, dtype=jnp.int32) == atom)[:, None]
        vectors = walker.positions - place
        if not any(self.pbc):
            return self._pairs(vectors, itself)
        fractional = to_fractional(vectors, walker.cell)
        nearest = jnp.where(jnp.asarray(self.pbc)[:, None], jnp.round(fractional), 0.0)
        vectors = vectors - to_cartesian(nearest, walker.cell)
        images = self._images()[..., None]
        shifts = jnp.broadcast_to(images, (*images.shape[:-1], *walker.energy.shape))

        def add(total: Array, shift: Array) -> tuple[Array, None]:
            return total + self._pairs(vectors + shift, itself), None

        every = to_cartesian(shifts, walker.cell)
        return jax.lax.scan(add, jnp.zeros_like(walker.energy), every)[0]

    def _pairs(
        self, vectors: Float[Array, "n 3 *w"], itself: Bool[Array, "n 1"]
    ) -> Float[Array, "*w"]:
        squared = length_squared(vectors, axis=1)
        pairs = self.potential.pair_energy(jnp.where(itself, 1.0, squared))
        return jnp.sum(jnp.where(itself, 0.0, pairs), axis=0)

    def holds_atoms(self, walker: Walker) -> Bool[Array, "*w"]:
        """Whether the mobile atoms are within the container."""
        positions = walker.positions[self.moving] if self.has_frozen else walker.positions
        return self.measure.holds_atoms(positions, walker.cell)

    def on_mobile(self, values: Float[Array, "mobile 3 *w"]) -> Float[Array, "n 3 *w"]:
        """Vectors of the mobile atoms, among zeros for the frozen ones."""
        if not self.has_frozen:
            return values
        return jnp.zeros((self.atoms, *values.shape[1:]), jnp.float64).at[self.moving].set(values)

    @property
    def has_frozen(self) -> bool:
        """Whether any atom stays where it is."""
        return len(self.mobile) < self.atoms

    @property
    def moving(self) -> Int[np.ndarray, " mobile"]:
        """Indices of the mobile atoms, as an array."""
        return np.asarray(self.mobile, np.int32)


def _for_each(function: Callable[[Walker], Any], walker: Walker) -> Any:
    """Map a function of one walker over the last axis; one walker alone needs no mapping."""
    if walker.energy.shape == (1,):
        alone = function(jax.tree.map(lambda a: a[..., 0], walker))
        return jax.tree.map(lambda a: a[..., None], alone)
    return jax.vmap(function, in_axes=-1, out_axes=-1)(walker)


def _nobody(atoms: int) -> Neighbours:
    """List for atoms without neighbours."""
    return Neighbours(
        index=jnp.full((atoms, 1), atoms, jnp.int32),
        shift=jnp.zeros((atoms, 1, 3), jnp.int32),
        reverse=jnp.full((atoms, 1), atoms, jnp.int32),
        needed=jnp.zeros((), jnp.int32),
    )


def _answered(
    neighbours: Neighbours, energy: Float[Array, ""]
) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """NaN where no list can be made at all, which no number of slots would change."""
    lost = neighbours.needed >= UNANSWERABLE
    return jnp.where(lost, jnp.nan, energy), jnp.where(lost, 0, neighbours.needed)
