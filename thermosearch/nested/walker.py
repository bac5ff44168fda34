"""One walker, and the system that says what its energy is and where it may go."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array, Configuration
from thermosearch.nested.finders import NeighbourFinder, SkinnedList
from thermosearch.nested.measures import Measure, length_squared
from thermosearch.nested.rows import (
    DensityPotential,
    Lattice,
    PairPotential,
    Terms,
    own_images,
    row,
    sums_pairs,
)
from thermosearch.potentials.interface import Neighbours, Potential, energy_forces
from thermosearch.potentials.neighbours_device import UNANSWERABLE, Held


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
    densities : tuple of (n, w) float64, or None
        Of a `DensityPotential`, within a walk.
    held : Held or None
        Pairs that neighbours are picked from, within a walk by a `SkinnedList`.
    """

    positions: Float[Array, "n 3 *w"]
    cell: Float[Array, "3 3 *w"]
    numbers: Int[Array, " n *w"]
    energy: Float[Array, "*w"]
    kinetic: Float[Array, "*w"] | None = None
    densities: tuple[Float[Array, " n *w"], ...] | None = None
    held: Held | None = None


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
    keeps_densities : bool
        Whether the walks of a `DensityPotential` go by rows. Walkers one after the other are
        quicker by lists.
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
    keeps_densities: bool = eqx.field(static=True, default=True)

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
        """Energies of the walkers where they stand, and the neighbour slots that took."""
        evaluated, needed = self.evaluated(walker)
        return evaluated.energy, needed

    def evaluated(self, walker: Walker) -> tuple[Walker, Int[Array, "*w"]]:
        """Give the walkers their energies, and densities; the neighbour slots that took.

        Sums over pairs need no lists of neighbours.
        """
        if self.sums_pairs:
            return self._sum_of_pairs(walker), jnp.zeros(walker.energy.shape, jnp.int32)

        def one(walker: Walker) -> tuple[Walker, Int[Array, ""]]:
            configuration = self.configuration(walker)
            held, neighbours = self._neighbours(walker.held, configuration)
            energy = self.potential.energy(configuration, neighbours)
            energy, needed = _answered(neighbours, energy)
            return walker._replace(energy=energy, held=held), needed

        return _for_each(one, walker)

    def holding(self, walker: Walker) -> Walker:
        """Give the walkers, at the beginning of a walk, the pairs that it picks neighbours from."""
        if self.sums_pairs or not isinstance(self.finder, SkinnedList):
            return walker

        def one(walker: Walker) -> Walker:
            return walker._replace(held=self.finder.hold(self.configuration(walker)))

        return _for_each(one, walker)

    def _neighbours(
        self, held: Held | None, configuration: Configuration
    ) -> tuple[Held | None, Neighbours]:
        if held is None:
            return None, self.finder.find(configuration)
        return self.finder.near(held, configuration)

    def energy_gradient(
        self, walker: Walker
    ) -> tuple[Float[Array, "*w"], Float[Array, "n 3 *w"], Int[Array, "*w"]]:
        """Energies, their gradients (zero on frozen atoms), and the neighbour slots they took."""
        moves = np.zeros((self.atoms, 1), bool)
        moves[self.moving] = True
        if self.has_densities:

            def total(positions: Array) -> tuple[Array, Array]:
                energy, _ = self.energy(walker._replace(positions=positions))
                return jnp.sum(energy), energy

            (_, energy), gradient = jax.value_and_grad(total, has_aux=True)(walker.positions)
            gradient = jnp.where(moves[..., None], gradient, 0.0)
            return energy, gradient, jnp.zeros(energy.shape, jnp.int32)

        def one(walker: Walker) -> tuple[Float[Array, ""], Float[Array, "n 3"], Int[Array, ""]]:
            configuration = self.configuration(walker)
            _, neighbours = self._neighbours(walker.held, configuration)
            found = energy_forces(self.potential, configuration, neighbours)
            energy, needed = _answered(neighbours, found.energy)
            return energy, jnp.where(moves, -found.forces, 0.0), needed

        return _for_each(one, walker)

    def evaluated_after(self, walker: Walker, moved: Walker, atom: Int[Array, ""]) -> Walker:
        """Give walkers their energies once one atom has moved, where these are sums over pairs.

        Only what changes is summed: its rounding error is that of energies as large as
        the contour, and the walk ends with a sum over all pairs.
        """
        places = walker.positions[atom], moved.positions[atom]
        if not any(self.pbc) and not self.has_densities:
            before, after = (self._pairs(walker, place, atom) for place in places)
            return moved._replace(energy=walker.energy + (after - before))
        rows = self._rows(walker, jnp.stack(places), atom)
        if not self.has_densities:
            return moved._replace(energy=walker.energy + jnp.sum(rows[0][1] - rows[0][0], axis=0))
        densities = []
        for density, both, odd in zip(
            walker.densities, rows, self.potential.odd_densities, strict=True
        ):
            change = both[1] - both[0]
            others = density - change if odd else density + change
            densities.append(others.at[atom].add(jnp.sum(change, axis=0)))
        return self._in_densities(moved, tuple(densities))

    @property
    def sums_pairs(self) -> bool:
        """Whether one atom's move costs one row of pairs."""
        return sums_pairs(self.potential) and (
            self.keeps_densities or isinstance(self.potential, PairPotential)
        )

    @property
    def has_densities(self) -> bool:
        """Whether the energy is a function of sums over pairs, which a walk keeps."""
        return self.keeps_densities and isinstance(self.potential, DensityPotential)

    def _sum_of_pairs(self, walker: Walker) -> Walker:
        """All rows, and the pairs of every atom with its own images."""

        def total(_: None, atom: Array) -> tuple[None, Terms]:
            rows = self._rows(walker, walker.positions[atom][None], atom)
            return None, tuple(jnp.sum(each[0], axis=0) for each in rows)

        atoms = jnp.arange(self.atoms, dtype=jnp.int32)
        _, rows = jax.lax.scan(total, None, atoms)
        images = own_images(self._pair_terms, self._lattice, walker.cell)
        sums = tuple(row + image for row, image in zip(rows, images, strict=True))
        if self.has_densities:
            return self._in_densities(walker, sums)

        def without_pairs(walker: Walker) -> Float[Array, ""]:
            return self.potential.energy(self.configuration(walker), _nobody(self.atoms))

        # A potential may add what is no pair: the mean of those beyond its cutoff.
        rest = _for_each(without_pairs, walker)
        return walker._replace(energy=0.5 * jnp.sum(sums[0], axis=0) + rest)

    def _in_densities(self, walker: Walker, densities: Terms) -> Walker:
        energy = jnp.sum(self.potential.density_energy(densities), axis=0)
        return walker._replace(energy=energy, densities=densities)

    def _rows(
        self, walker: Walker, places: Float[Array, "places 3 *w"], atom: Int[Array, ""]
    ) -> Terms:
        """Terms of an atom at some places with all others and their images: (places, n, w) each."""
        hidden = jnp.arange(self.atoms, dtype=jnp.int32) == atom
        vectors = walker.positions - places[:, None]
        return row(self._pair_terms, self._lattice, vectors, walker.cell, hidden=hidden)

    def _pairs(
        self, walker: Walker, place: Float[Array, " 3 *w"], atom: Int[Array, ""]
    ) -> Float[Array, "*w"]:
        """Energies of the pairs of an atom at some place of a cluster.

        As `_rows`, from squares alone: a quarter quicker, and all that small clusters do.
        """
        itself = (jnp.arange(self.atoms, dtype=jnp.int32) == atom)[:, None]
        squared = length_squared(walker.positions - place, axis=1)
        pairs = self.potential.pair_energy(jnp.where(itself, 1.0, squared))
        return jnp.sum(jnp.where(itself, 0.0, pairs), axis=0)

    def _pair_terms(self, x: Array, y: Array, z: Array) -> Terms:
        if self.has_densities:
            return self.potential.pair_densities(x, y, z)
        return (self.potential.pair_energy(x * x + y * y + z * z),)

    @property
    def _lattice(self) -> Lattice:
        images = self.finder.images if any(self.pbc) else (0, 0, 0)
        return Lattice(self.pbc, images, float(self.potential.cutoff))

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
