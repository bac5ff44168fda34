"""The energy interface: what every potential is, and the three entries every engine calls.

A potential is a pytree (an `equinox.Module`): its array fields are its parameters, its
static fields its settings. So a potential is passed to a jitted function like any array,
and its `energy` is a pure function of (parameters, configuration, neighbours).
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array, Configuration
from thermosearch.potentials.compilation import compiled_apart
from thermosearch.runtime.errors import InputError


class Neighbours(NamedTuple):
    """Padded list of the neighbours of every atom, periodic images counted one by one.

    A list may hold pairs beyond the cutoff (a skin): a potential gives exactly zero there by
    itself.

    Attributes
    ----------
    index : (n, m) int32
        Atom of each neighbour; `n`, one past the last atom, marks an empty slot.
    shift : (n, m, 3) int32
        Lattice translation S of the neighbour: r_ij = r_j + S @ cell - r_i.
    reverse : (n, m) int32
        Flat slot `k * m + l` of the mirrored pair (j, i, -S), so that forces are gathered
        instead of scattered; `n * m` in an empty slot.
    needed : () int32
        Slots the fullest atom would have needed. The list is complete only if `needed <= m`.
    """

    index: Int[Array, "*batch n m"]
    shift: Int[Array, "*batch n m 3"]
    reverse: Int[Array, "*batch n m"]
    needed: Int[Array, "*batch"]


class Properties(NamedTuple):
    """What an evaluation gives; `None` where it was not asked for.

    Attributes
    ----------
    energy : () float64
        Total energy, eV.
    forces : (n, 3) float64 or None
        eV/A; zero on padding atoms.
    stress : (3, 3) float64 or None
        Symmetric, eV/A^3, positive in tension (ASE sign).
    """

    energy: Float[Array, "*batch"]
    forces: Float[Array, "*batch n 3"] | None = None
    stress: Float[Array, "*batch 3 3"] | None = None


class Potential(eqx.Module):
    """Base of all potentials; a new one implements `energy` and the three settings.

    Attributes
    ----------
    cutoff : float or None
        Radius within which neighbours are needed, A; None for none (the potential then
        ignores the list it is given).
    elements : tuple of int or None
        Atomic numbers it knows; None for any.
    units : {"eV", "reduced"}
        "reduced" potentials have k_B = 1 and no physical length.
    batches : bool
        Whether evaluations side by side are cheaper than one by one, even if some are idle.
    """

    batches: ClassVar[bool] = True
    cutoff: eqx.AbstractVar[float | None]
    elements: eqx.AbstractVar[tuple[int, ...] | None]
    units: eqx.AbstractVar[Literal["eV", "reduced"]]

    @abstractmethod
    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Total energy of one configuration.

        Parameters
        ----------
        configuration : Configuration
            `n` atoms.
        neighbours : Neighbours
            All pairs within `cutoff` (more are allowed).

        Returns
        -------
        () float64
            Total energy. Padding atoms contribute exactly zero.
        """

    def ase_calculator(self, **options: Any) -> Any:
        """Make an ASE calculator of it; options as of `ase_bridge.to_calculator`."""
        from thermosearch.potentials.ase_bridge import to_calculator  # noqa: PLC0415 - a cycle

        return to_calculator(self, **options)


def has_spread(potential: Potential) -> TypeGuard["Committee"]:
    """Whether it has members that can disagree."""
    return isinstance(potential, Committee) and potential.members > 1


def refuse_without_spread(potential: Potential, asked: Mapping[str, float | bool | None]) -> None:
    """Refuse what limits or asks for the spread of a potential that has none.

    Parameters
    ----------
    potential : Potential
        Any.
    asked : mapping of str to float, bool or None
        Limit of each key of a study, or name of an option; None, zero or False where it is not set.

    Raises
    ------
    InputError
        If something is asked and the members are fewer than two.
    """
    for name, limit in asked.items():
        if limit and not has_spread(potential):
            raise InputError(
                f"{name}: the potential has no spread, which takes a committee of two members or "
                "more: leave it out"
            )


def refuse_reduced(potential: Potential, needs: str) -> None:
    """Refuse a potential in reduced units where physical ones are needed.

    Parameters
    ----------
    potential : Potential
        A study's.
    needs : str
        What needs which units, for the message.

    Raises
    ------
    InputError
        If it is in reduced units.
    """
    if potential.units != "eV":
        raise InputError(f"potential: it is in reduced units, {needs}; take another one")


class Committee(Potential):
    """A potential with M members: its `energy` is their mean.

    Attributes
    ----------
    members : int
        M; from two on they have a spread.
    """

    members: eqx.AbstractVar[int]

    @abstractmethod
    def member_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, " members"]:
        """Total energies of the members, (M,) float64; their mean is `energy`."""


class OnCommittee(Potential):
    """A potential made of a committee, whose needs and units it has.

    Attributes
    ----------
    committee : Committee
    """

    committee: Committee

    @property
    def batches(self) -> bool:
        """Of the committee."""
        return self.committee.batches

    @property
    def cutoff(self) -> float | None:
        """Of the committee."""
        return self.committee.cutoff

    @property
    def elements(self) -> tuple[int, ...] | None:
        """Of the committee."""
        return self.committee.elements

    @property
    def units(self) -> Literal["eV", "reduced"]:
        """Of the committee."""
        return self.committee.units


class CommitteeMember(OnCommittee):
    """One member of a committee as a potential of its own.

    Its number is an array, so that functions compiled for one member serve all.

    Attributes
    ----------
    member : () int32
        0 to M - 1.
    """

    member: Int[Array, ""]

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Total energy of this member."""
        return self.committee.member_energies(configuration, neighbours)[self.member]


def pair_vectors(
    configuration: Configuration, neighbours: Neighbours, dtype: Any = jnp.float64
) -> tuple[Float[Array, "n m 3"], Bool[Array, "n m"]]:
    """Vectors r_ij = r_j + S @ cell - r_i of every slot, and which slots are filled.

    Empty slots hold the vector (1, 1, 1), so that a norm and its gradient stay finite.
    Differentiable in positions and cell. Computed in float64 and given in `dtype`.
    """
    filled = neighbours.index < configuration.positions.shape[0]
    vectors = _slot_vectors(configuration.positions, configuration.cell, neighbours, dtype)
    return vectors, filled


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _slot_vectors(
    positions: Float[Array, "n 3"], cell: Float[Array, "3 3"], neighbours: Neighbours, dtype: Any
) -> Float[Array, "n m 3"]:
    partners = positions.at[neighbours.index].get(mode="clip")
    vectors = partners - positions[:, None, :] + neighbours.shift.astype(cell.dtype) @ cell
    filled = neighbours.index < positions.shape[0]
    return jnp.where(filled[..., None], vectors, 1.0).astype(dtype)


def _slot_vectors_forward(
    positions: Float[Array, "n 3"], cell: Float[Array, "3 3"], neighbours: Neighbours, dtype: Any
) -> tuple[Float[Array, "n m 3"], Neighbours]:
    return _slot_vectors(positions, cell, neighbours, dtype), neighbours


def _slot_vectors_backward(
    dtype: Any, neighbours: Neighbours, by_vectors: Float[Array, "n m 3"]
) -> tuple[Float[Array, "n 3"], Float[Array, "3 3"], None]:
    filled = neighbours.index < by_vectors.shape[0]
    return *_by_geometry(_in_filled(by_vectors, filled), neighbours), None


@compiled_apart
def _in_filled(
    by_vectors: Float[Array, "n m 3"], filled: Bool[Array, "n m"]
) -> Float[Array, "n m 3"]:
    return jnp.where(filled[..., None], by_vectors, 0.0)


@compiled_apart
def _by_geometry(
    own: Float[Array, "n m 3"], neighbours: Neighbours
) -> tuple[Float[Array, "n 3"], Float[Array, "3 3"]]:
    """Give derivatives by positions and cell, float64, from those by the vectors."""
    # Every pair stands in both rows, so the scatter to the partner is a gather of the
    # mirrored slot: XLA's scatter on CPU is several times slower.
    mirrored = own.reshape(-1, 3).at[neighbours.reverse].get(mode="fill", fill_value=0.0)
    by_positions = jnp.sum((mirrored - own).astype(jnp.float64), axis=1)
    own = own.astype(jnp.float64)
    by_cell = jnp.einsum("nma,nmb->ab", neighbours.shift.astype(own.dtype), own)
    return by_positions, by_cell


_slot_vectors.defvjp(_slot_vectors_forward, _slot_vectors_backward)


def energy(
    potential: Potential, configuration: Configuration, neighbours: Neighbours
) -> Properties:
    """Energy alone: the entry of a Monte Carlo move, which must not pay for forces."""
    return _finite_or_nan(configuration, Properties(potential.energy(configuration, neighbours)))


def energy_forces(
    potential: Potential, configuration: Configuration, neighbours: Neighbours
) -> Properties:
    """Energy and forces F = -dE/dr by one reverse pass."""

    def of_positions(positions: Float[Array, "n 3"]) -> Float[Array, ""]:
        return potential.energy(configuration._replace(positions=positions), neighbours)

    value, gradient = jax.value_and_grad(of_positions)(configuration.positions)
    return _finite_or_nan(configuration, Properties(value, -gradient))


def energy_forces_stress(
    potential: Potential, configuration: Configuration, neighbours: Neighbours
) -> Properties:
    """Energy, forces and stress by one reverse pass.

    With positions and cell both strained, r -> r (1 + e) and h -> h (1 + e), the stress is
    sigma = (r^T dE/dr + h^T dE/dh) / V, symmetrised.
    """

    def of_geometry(positions: Float[Array, "n 3"], cell: Float[Array, "3 3"]) -> Float[Array, ""]:
        strained = configuration._replace(positions=positions, cell=cell)
        return potential.energy(strained, neighbours)

    value, (by_positions, by_cell) = jax.value_and_grad(of_geometry, argnums=(0, 1))(
        configuration.positions, configuration.cell
    )
    virial = configuration.positions.T @ by_positions + configuration.cell.T @ by_cell
    volume = jnp.abs(jnp.linalg.det(configuration.cell))
    stress = (virial + virial.T) / (2.0 * volume)
    return _finite_or_nan(configuration, Properties(value, -by_positions, stress))


def _finite_or_nan(configuration: Configuration, properties: Properties) -> Properties:
    """Give NaN where a position is: a NaN distance passes no cutoff, so the energy would be 0."""
    finite = jnp.all(jnp.isfinite(configuration.positions))
    return jax.tree.map(lambda value: jnp.where(finite, value, jnp.nan), properties)
