"""Evaluation of many configurations of any sizes from the host.

Configurations of like size share one padded shape (a bucket), so that one compilation serves
them all; within a bucket a compiled loop, or `vmap` where that is faster, runs over them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from thermosearch.configuration import OVERLAP, Array, Configuration, pad, stack, validate
from thermosearch.potentials.interface import (
    Committee,
    Neighbours,
    Potential,
    Properties,
    energy,
    energy_forces,
    energy_forces_stress,
    refuse_without_spread,
)
from thermosearch.potentials.neighbours_host import host_neighbours, widen
from thermosearch.runtime.errors import InputError

Batching = Literal["loop", "vmap"]
Shape = tuple[int, int]
Listed = tuple[int, Configuration, Neighbours]


def evaluate(
    potential: Potential,
    configurations: Sequence[Configuration],
    properties: Collection[str] = ("energy", "forces"),
    *,
    closest: float = OVERLAP,
    invalid: Literal["raise", "nan"] = "raise",
    batching: Batching | None = None,
) -> list[Properties]:
    """Evaluate configurations of any sizes.

    Parameters
    ----------
    potential : Potential
        Any potential; its neighbour lists are made here and are always complete.
    configurations : sequence of Configuration
        Without batch axis, sizes may differ.
    properties : collection of {"energy", "forces", "stress"}
        What is asked for; the energy always comes. Forces cost about two energies more.
    closest : float
        Atoms at this distance or nearer overlap (potentials with a cutoff only).
    invalid : {"raise", "nan"}
        What a configuration that cannot be evaluated gives: an `InputError` naming it, or NaN
        everywhere (an engine that explores rejects it).
    batching : {"loop", "vmap"}, optional
        By default `vmap` on an accelerator and a compiled loop on a CPU, where it is faster, and
        for a calculator.

    Returns
    -------
    list of Properties
        In the order given, float64 numpy arrays without padding.

    Raises
    ------
    InputError
        Non-finite positions, singular cell, unknown element, overlapping atoms, or a stress
        where the cell has no volume; with the index of the configuration.
    """
    entry = _entry(properties)
    results: list[Properties | None] = [None] * len(configurations)
    valid = []
    for k, configuration in enumerate(configurations):
        try:
            _refuse(potential, configuration, f"structure {k}", closest, properties)
            valid.append(k)
        except InputError:
            if invalid == "raise":
                raise
            results[k] = _not_a_number(len(configuration.numbers), properties)
    for k, result in _run(entry, potential, configurations, valid, batching):
        atoms = len(configurations[k].numbers)
        results[k] = Properties(
            result.energy, None if result.forces is None else result.forces[:atoms], result.stress
        )
    return [result for result in results if result is not None]


class Uncertainty(NamedTuple):
    """Spread of a committee, sample standard deviations over its members.

    Attributes
    ----------
    energy : () float64
        Of the total energy, eV.
    forces : (n,) float64 or None
        Of the force on each atom, sqrt(sum over x, y, z of the variance), eV/A.
    """

    energy: Float[Array, "*batch"]
    forces: Float[Array, "*batch n"] | None = None


def uncertainty(
    potential: Potential,
    configurations: Sequence[Configuration],
    properties: Collection[str] = ("energy", "forces"),
    *,
    closest: float = OVERLAP,
    batching: Batching | None = None,
) -> list[Uncertainty]:
    """Evaluate the spread of a committee's members; arguments as for `evaluate`.

    Raises
    ------
    InputError
        As `evaluate`; and if the potential has no members.
    """
    refuse_without_spread(potential, {"uncertainty": True})
    for k, configuration in enumerate(configurations):
        _refuse(potential, configuration, f"structure {k}", closest, properties)
    entry = committee_spread if "forces" in properties else committee_energy_spread
    spread = dict(_run(entry, potential, configurations, range(len(configurations)), batching))
    return [
        Uncertainty(
            spread[k].energy,
            None if spread[k].forces is None else spread[k].forces[: len(configuration.numbers)],
        )
        for k, configuration in enumerate(configurations)
    ]


def committee_energy_spread(
    potential: Committee, configuration: Configuration, neighbours: Neighbours
) -> Uncertainty:
    """Compute the energy's standard deviation over the members, in or out of jit."""
    return Uncertainty(jnp.std(potential.member_energies(configuration, neighbours), ddof=1))


def committee_spread(
    potential: Committee, configuration: Configuration, neighbours: Neighbours
) -> Uncertainty:
    """Compute energy and force standard deviations over the members, in or out of jit."""

    def members(
        positions: Float[Array, "n 3"],
    ) -> tuple[Float[Array, " members"], Float[Array, " members"]]:
        moved = configuration._replace(positions=positions)
        energies = potential.member_energies(moved, neighbours)
        return energies, energies

    gradients, energies = jax.jacrev(members, has_aux=True)(configuration.positions)
    forces = jnp.sqrt(jnp.sum(jnp.var(gradients, axis=0, ddof=1), axis=-1))
    return Uncertainty(jnp.std(energies, ddof=1), forces)


def bucket(size: int, smallest: int = 1, steps: int = 4) -> int:
    """Round a size up to the next of `steps` an octave (a power of two): few shapes to compile."""
    size = max(size, smallest)
    step = max(1, 2 ** (size.bit_length() - 1) // steps)
    return -(-size // step) * step


def _capacity(slots: int) -> int:
    """Round coarsely: like structures should share a shape though their densest atoms differ."""
    return bucket(slots, smallest=8, steps=2)


Entry = Callable[[Any, Configuration, Neighbours], Any]


def _entry(properties: Collection[str]) -> Entry:
    unknown = set(properties) - {"energy", "forces", "stress"}
    if unknown:
        raise InputError(
            f"properties: {sorted(unknown)} unknown; there are energy, forces and stress"
        )
    if "stress" in properties:
        return energy_forces_stress
    return energy_forces if "forces" in properties else energy


def _refuse(
    potential: Potential,
    configuration: Configuration,
    label: str,
    closest: float,
    properties: Collection[str],
) -> None:
    validate(
        configuration,
        elements=potential.elements,
        closest=0.0 if potential.cutoff is None else closest,
        label=label,
    )
    if "stress" in properties and abs(np.linalg.det(configuration.cell)) == 0.0:
        raise InputError(f"{label}: its cell has no volume, so no stress: do not ask for it")


def _not_a_number(atoms: int, properties: Collection[str]) -> Properties:
    return Properties(
        energy=np.asarray(np.nan),
        forces=np.full((atoms, 3), np.nan) if {"forces", "stress"} & {*properties} else None,
        stress=np.full((3, 3), np.nan) if "stress" in properties else None,
    )


def _run(
    entry: Entry,
    potential: Potential,
    configurations: Sequence[Configuration],
    chosen: Sequence[int],
    batching: Batching | None,
) -> Iterator[tuple[int, Any]]:
    """Results of the chosen configurations, padding atoms included, in any order."""
    beside = potential.batches and jax.default_backend() != "cpu"
    batching = batching or ("vmap" if beside else "loop")
    sizes = {len(configurations[k].numbers) for k in chosen}
    waiting: dict[Shape, list[Listed]] = {}
    slots = 0
    for k in chosen:
        # Structures of one common size need no padding atoms.
        atoms = max(sizes) if len(sizes) == 1 else bucket(len(configurations[k].numbers))
        neighbours = host_neighbours(configurations[k], potential.cutoff)
        capacity = _capacity(neighbours.index.shape[1])
        waiting.setdefault((atoms, capacity), []).append((k, configurations[k], neighbours))
        slots += atoms * capacity
        if slots > _HELD_SLOTS:
            yield from _run_merged(entry, potential, waiting, batching)
            waiting, slots = {}, 0
    yield from _run_merged(entry, potential, waiting, batching)


_HELD_SLOTS = 2**24
"""Neighbour lists held at a time, in slots: about 300 MB."""

_COMPILATION_SLOTS = 2**23
"""Slots a model evaluates in about the time that compiling one more shape takes (seconds)."""


def _run_merged(
    entry: Entry,
    potential: Potential,
    waiting: dict[Shape, list[Listed]],
    batching: Batching,
) -> Iterator[tuple[int, Any]]:
    merged: dict[Shape, list[Listed]] = {}
    into = merge_shapes({shape: len(members) for shape, members in waiting.items()})
    for shape, members in waiting.items():
        merged.setdefault(into[shape], []).extend(members)
    for shape, members in merged.items():
        width = _width(shape[0] * shape[1], batching)
        for first in range(0, len(members), width):
            yield from run_bucket(entry, potential, members[first : first + width], batching, shape)


def merge_shapes(counts: dict[Shape, int]) -> dict[Shape, Shape]:
    """Choose the shape each bucket is evaluated in: as few as pay for their compilation.

    Two buckets are merged into the shape that holds both as long as the padding this adds costs
    less than compiling one shape more; the cheapest merger goes first.

    Parameters
    ----------
    counts : dict
        Number of configurations of each shape (atoms, capacity).

    Returns
    -------
    dict
        The shape in which each of them is evaluated.
    """
    groups = [([shape], shape) for shape in sorted(counts)]

    def slots(members: list[Shape], shape: Shape) -> int:
        return sum(counts[s] * (shape[0] * shape[1] - s[0] * s[1]) for s in members)

    while len(groups) > 1:
        mergers = []
        for (i, (a, shape_a)), (j, (b, shape_b)) in combinations(enumerate(groups), 2):
            both = (max(shape_a[0], shape_b[0]), max(shape_a[1], shape_b[1]))
            extra = slots(a + b, both) - slots(a, shape_a) - slots(b, shape_b)
            mergers.append((extra, i, j, both))
        extra, i, j, both = min(mergers)
        if extra > _COMPILATION_SLOTS:
            break
        groups[i] = (groups[i][0] + groups[j][0], both)
        del groups[j]
    return {member: shape for members, shape in groups for member in members}


def _width(slots: int, batching: Batching) -> int:
    """Limit the configurations of a call by the memory of lists (loop) or intermediates (vmap)."""
    budget = 2**22 if batching == "loop" else 2**20
    return max(1, min(256, 2 ** ((budget // slots).bit_length() - 1)))


def run_bucket(
    entry: Entry,
    potential: Potential,
    members: list[Listed],
    batching: Batching,
    shape: Shape,
) -> Iterator[tuple[int, Any]]:
    """Evaluate configurations, each with its number and its list, in one call of this shape."""
    atoms, capacity = shape
    # The batch is filled up to a power of two with its last member; the loop never reaches those.
    filling = members + [members[-1]] * (2 ** (len(members) - 1).bit_length() - len(members))
    lists = [widen(neighbours, capacity, atoms) for _, _, neighbours in filling]
    batch = (
        stack([pad(configuration, atoms) for _, configuration, _ in filling]),
        Neighbours(*(np.stack(field) for field in zip(*lists, strict=True))),
    )
    run = _loop if batching == "loop" else _vmap
    out = jax.device_get(run(entry, potential, np.asarray(len(members), np.int32), *batch))
    for row, (k, _, _) in enumerate(members):
        yield k, jax.tree.map(lambda field, row=row: np.asarray(field[row]), out)


@eqx.filter_jit
def _loop(
    entry: Entry,
    potential: Potential,
    count: Int[Array, ""],
    configurations: Configuration,
    neighbours: Neighbours,
) -> Any:
    def one(k: Int[Array, ""]) -> Any:
        configuration, listed = jax.tree.map(lambda a: a[k], (configurations, neighbours))
        return entry(potential, configuration, listed)

    shapes = jax.eval_shape(one, count)
    width = configurations.positions.shape[0]
    empty = jax.tree.map(lambda a: jnp.zeros((width, *a.shape), a.dtype), shapes)

    def body(k: Int[Array, ""], out: Any) -> Any:
        return jax.tree.map(lambda a, b: a.at[k].set(b), out, one(k))

    return jax.lax.fori_loop(jnp.zeros_like(count), count, body, empty)


@eqx.filter_jit
def _vmap(
    entry: Entry,
    potential: Potential,
    count: Int[Array, ""],
    configurations: Configuration,
    neighbours: Neighbours,
) -> Any:
    return jax.vmap(entry, in_axes=(None, 0, 0))(potential, configurations, neighbours)
