"""Mini-batches of structures of any size, as one flat list of atoms.

The atoms of several structures stand one after the other in a batch of fixed size, so that a
one-atom crystal costs one row and a slab of 96 atoms 96; only the sum of atomic energies knows
structures. Positions do not change in training: neighbours and pair vectors are made once, on
the host. Structures are sorted into a few buckets by their number of neighbours, because the
padded rows of a batch are as long as its fullest atom's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.dataset import Frame
from thermosearch.potentials.neighbours_host import host_neighbours


class Batch(NamedTuple):
    """`n` rows of atoms (padding included) of `s` structures; float32 or as the model's precision.

    Attributes
    ----------
    vectors : (n, m, 3)
        From atom to neighbour, A.
    filled : (n, m) bool
        Slots that hold a neighbour.
    species : (n,) int32
        Element index of each atom.
    partners : (n, m) int32
        Element index of each neighbour.
    reverse : (n, m) int32
        Flat slot of the mirrored pair; n * m in an empty slot.
    structure : (n,) int32
        Structure of each atom; `s` for a padding row.
    atoms : (s,)
        Atoms of each structure; 1 for an empty structure.
    volume : (s,)
        A^3; 1 where a structure has no volume.
    energy, energy_weight : (s,)
        Energy relative to the references, eV; weight 0 where there is none.
    forces, force_weight : (n, 3), (n,)
        eV/A.
    stress, stress_weight : (s, 3, 3), (s,)
        eV/A^3.
    frame : (s,) int32
        Position of each structure in the data set; -1 for an empty structure.
    moments, slopes : (n, a), (n, 3 m, a); or None
        As in `Example`.
    fixed_energy, fixed_slopes : (n,), (n, m, 3); or None
        Repulsion, which holds nothing learned.
    """

    vectors: Float[Array, "n m 3"]
    filled: Bool[Array, "n m"]
    species: Int[Array, " n"]
    partners: Int[Array, "n m"]
    reverse: Int[Array, "n m"]
    structure: Int[Array, " n"]
    atoms: Float[Array, " s"]
    volume: Float[Array, " s"]
    energy: Float[Array, " s"]
    energy_weight: Float[Array, " s"]
    forces: Float[Array, "n 3"]
    force_weight: Float[Array, " n"]
    stress: Float[Array, "s 3 3"]
    stress_weight: Float[Array, " s"]
    frame: Int[Array, " s"]
    moments: Float[Array, "n a"] | None = None
    slopes: Float[Array, "n k a"] | None = None
    fixed_energy: Float[Array, " n"] | None = None
    fixed_slopes: Float[Array, "n m 3"] | None = None


@dataclass(frozen=True)
class Example:
    """One structure ready for a batch: its pairs and its weighted labels.

    Attributes
    ----------
    vectors, filled, partners : (n, m, 3), (n, m), (n, m)
        As in `Batch`, for this structure alone.
    mirror_row, mirror_column : (n, m) int32
        Where the mirrored pair of each slot stands.
    species : (n,) int32
    energy, energy_weight : float
        Relative energy, eV, and its weight; 0 where there is none.
    forces, force_weight : (n, 3), float
    stress, stress_weight : (3, 3), float
    volume : float
    moments, slopes : (n, a), (n, m, 3, a); or None
        Moments of the atoms and their derivatives by each pair vector (see `moments`).
    fixed_energy, fixed_slopes : (n,), (n, m, 3); or None
        Repulsion of the atoms and its derivatives by each pair vector.
    """

    vectors: np.ndarray
    filled: np.ndarray
    partners: np.ndarray
    mirror_row: np.ndarray
    mirror_column: np.ndarray
    species: np.ndarray
    energy: float
    energy_weight: float
    forces: np.ndarray
    force_weight: float
    stress: np.ndarray
    stress_weight: float
    volume: float
    moments: np.ndarray | None = None
    slopes: np.ndarray | None = None
    fixed_energy: np.ndarray | None = None
    fixed_slopes: np.ndarray | None = None

    @property
    def atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)

    @property
    def neighbours(self) -> int:
        """Neighbours of the fullest atom."""
        return self.vectors.shape[1]


def example(
    frame: Frame,
    elements: tuple[int, ...],
    cutoff: float,
    references: Float[np.ndarray, " elements"],
    *,
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
    precision: str = "float32",
) -> Example:
    """Prepare one frame: neighbours and pair vectors within the cutoff, relative energy.

    Parameters
    ----------
    frame : Frame
        Labels it lacks get weight zero.
    elements : tuple of int
        Atomic numbers of the model in its order; the frame holds no others.
    cutoff : float
        A.
    references : (E,) float64
        Energies subtracted, eV for each atom of an element.
    weights : (float, float, float)
        Of energy, forces and stress.
    precision : str
        dtype of the arrays.
    """
    configuration = frame.configuration
    species = np.searchsorted(np.sort(elements), configuration.numbers)
    species = np.argsort(elements)[species].astype(np.int32)
    list_ = host_neighbours(configuration, cutoff)
    filled = list_.index < len(species)
    partner = np.where(filled, list_.index, 0)
    positions = configuration.positions
    vectors = positions[partner] - positions[:, None] + list_.shift @ configuration.cell
    volume = abs(np.linalg.det(configuration.cell))
    mirrored = np.where(filled, list_.reverse, 0)
    has_stress = frame.stress is not None and volume > 0.0
    return Example(
        vectors=np.where(filled[..., None], vectors, 1.0).astype(precision),
        filled=filled,
        partners=species[partner],
        mirror_row=(mirrored // filled.shape[1]).astype(np.int32),
        mirror_column=(mirrored % filled.shape[1]).astype(np.int32),
        species=species,
        energy=0.0 if frame.energy is None else frame.energy - references[species].sum(),
        energy_weight=0.0 if frame.energy is None else weights[0],
        forces=np.zeros((len(species), 3)) if frame.forces is None else frame.forces,
        force_weight=0.0 if frame.forces is None else weights[1],
        stress=frame.stress if has_stress else np.zeros((3, 3)),
        stress_weight=weights[2] if has_stress else 0.0,
        volume=float(volume) if volume > 0.0 else 1.0,
    )


@dataclass(frozen=True)
class Bucket:
    """Shape of the batches of structures with at most `neighbours` neighbours.

    Attributes
    ----------
    neighbours : int
        Row length m.
    atoms : int
        Rows n.
    structures : int
        Structures s.
    members : tuple of int
        Positions of its structures in the list of examples.
    """

    neighbours: int
    atoms: int
    structures: int
    members: tuple[int, ...]


def buckets(examples: Sequence[Example], atoms: int, most: int = 3) -> list[Bucket]:
    """Sort structures by neighbours into a few shapes, cutting where it saves most slots.

    Parameters
    ----------
    examples : sequence of Example
        All structures.
    atoms : int
        Rows wanted in a batch; a bucket with a larger structure has as many as that needs, and
        one whose structures leave many of them empty has fewer.
    most : int
        Number of buckets, each of which is compiled once.
    """
    neighbours = np.array([e.neighbours for e in examples])
    sizes = np.array([e.atoms for e in examples])
    lengths = np.unique(-(-neighbours // 4) * 4)
    below = np.array([sizes[neighbours <= length].sum() for length in lengths])
    found, low = [], 0
    for length in lengths[_cuts(lengths, below, most)]:
        chosen = np.flatnonzero((neighbours > low) & (neighbours <= length))
        rows = max(atoms, int(sizes[chosen].max()))
        smallest = np.sort(sizes[chosen])
        structures = int(np.searchsorted(np.cumsum(smallest), rows, side="right"))
        # Room for twice the structures of a typical batch: a batch is full at the first of both.
        typical = int(np.ceil(2.0 * rows / sizes[chosen].mean()))
        room = max(min(structures, typical), 1)
        bucket = Bucket(int(length), rows, room, tuple(chosen.tolist()))
        found.append(_tightened(examples, bucket))
        low = length
    return found


def _tightened(examples: Sequence[Example], bucket: Bucket) -> Bucket:
    """Bucket of as many rows as cost least in all, for about the same number of batches.

    192 rows hold one structure of 108 atoms, as 108 do.
    """
    order = np.random.default_rng(0).permutation(bucket.members)
    least = max(examples[k].atoms for k in bucket.members)
    tried = [replace(bucket, atoms=rows) for rows in range(least, bucket.atoms, 4)] + [bucket]
    batches = np.array([len(_packed(examples, each, order)) for each in tried])
    cost = batches * [each.atoms for each in tried]
    return tried[int(np.argmin(np.where(batches <= 1.05 * batches[-1], cost, np.inf)))]


def _cuts(lengths: Int[np.ndarray, " k"], below: Int[np.ndarray, " k"], most: int) -> list[int]:
    """Row lengths that cost the fewest padded slots, by dynamic programming; the last is kept."""
    cost, plans = (
        [int(length * count) for length, count in zip(lengths, below, strict=True)],
        [[k] for k in range(len(lengths))],
    )
    for _ in range(most - 1):
        new_cost, new_plans = list(cost), list(plans)
        for k in range(len(lengths)):
            for j in range(k):
                value = cost[j] + int(lengths[k] * (below[k] - below[j]))
                if value < new_cost[k]:
                    new_cost[k], new_plans[k] = value, [*plans[j], k]
        cost, plans = new_cost, new_plans
    return plans[-1]


def epoch(
    examples: Sequence[Example],
    shapes: Sequence[Bucket],
    generator: np.random.Generator | None,
    precision: str = "float32",
) -> Iterator[Batch]:
    """Batches that hold every structure once, in random order (or as they stand)."""
    for bucket, chosen in packing(examples, shapes, generator):
        yield collate(examples, chosen, bucket, precision)


def packing(
    examples: Sequence[Example], shapes: Sequence[Bucket], generator: np.random.Generator | None
) -> list[tuple[Bucket, list[int]]]:
    """Which structures share a batch, and the order of the batches."""
    plan = []
    for bucket in shapes:
        order = np.array(bucket.members)
        if generator is not None:
            order = generator.permutation(order)
        plan += [(bucket, chosen) for chosen in _packed(examples, bucket, order)]
    if generator is None:
        return plan
    return [plan[k] for k in generator.permutation(len(plan))]


def _packed(
    examples: Sequence[Example], bucket: Bucket, order: Int[np.ndarray, " k"]
) -> list[list[int]]:
    """First-fit packing into batches, looking back at the few still open ones."""
    full: list[list[int]] = []
    current: list[tuple[int, list[int]]] = []
    for position in order.tolist():
        size = examples[position].atoms
        for k, (used, chosen) in enumerate(current):
            if used + size <= bucket.atoms and len(chosen) < bucket.structures:
                current[k] = (used + size, [*chosen, position])
                break
        else:
            current.append((size, [position]))
        if len(current) > 4:
            current.sort(key=lambda entry: entry[0])
            full.append(current.pop()[1])
    return full + [chosen for _, chosen in current]


def collate(
    examples: Sequence[Example], chosen: Sequence[int], shape: Bucket, precision: str
) -> Batch:
    """Lay structures one after the other into arrays of the bucket's shape."""
    n, m, s = shape.atoms, shape.neighbours, shape.structures
    first = examples[chosen[0]].moments
    batch = _empty(n, m, s, np.dtype(precision), None if first is None else first.shape[1])
    start = 0
    for k, position in enumerate(chosen):
        item = examples[position]
        rows, columns = slice(start, start + item.atoms), slice(0, item.neighbours)
        batch.vectors[rows, columns] = item.vectors
        batch.filled[rows, columns] = item.filled
        batch.partners[rows, columns] = item.partners
        mirror = (item.mirror_row + start) * m + item.mirror_column
        batch.reverse[rows, columns] = np.where(item.filled, mirror, n * m)
        batch.species[rows] = item.species
        batch.structure[rows] = k
        batch.forces[rows] = item.forces
        batch.force_weight[rows] = item.force_weight
        batch.atoms[k], batch.volume[k] = item.atoms, item.volume
        batch.energy[k], batch.energy_weight[k] = item.energy, item.energy_weight
        batch.stress[k], batch.stress_weight[k] = item.stress, item.stress_weight
        batch.frame[k] = position
        if item.moments is not None:
            batch.moments[rows] = item.moments
            flat = item.slopes.reshape(item.atoms, -1, item.moments.shape[1])
            batch.slopes[rows, : flat.shape[1]] = flat
            batch.fixed_energy[rows] = item.fixed_energy
            batch.fixed_slopes[rows, columns] = item.fixed_slopes
        start += item.atoms
    return batch


def _empty(n: int, m: int, s: int, dtype: np.dtype, moments: int | None = None) -> Batch:
    batch = Batch(
        vectors=np.ones((n, m, 3), dtype),
        filled=np.zeros((n, m), bool),
        species=np.zeros(n, np.int32),
        partners=np.zeros((n, m), np.int32),
        reverse=np.full((n, m), n * m, np.int32),
        structure=np.full(n, s, np.int32),
        atoms=np.ones(s, dtype),
        volume=np.ones(s, dtype),
        energy=np.zeros(s, dtype),
        energy_weight=np.zeros(s, dtype),
        forces=np.zeros((n, 3), dtype),
        force_weight=np.zeros(n, dtype),
        stress=np.zeros((s, 3, 3), dtype),
        stress_weight=np.zeros(s, dtype),
        frame=np.full(s, -1, np.int32),
    )
    if moments is None:
        return batch
    return batch._replace(
        moments=np.zeros((n, moments), dtype),
        slopes=np.zeros((n, 3 * m, moments), dtype),
        fixed_energy=np.zeros(n, dtype),
        fixed_slopes=np.zeros((n, m, 3), dtype),
    )
