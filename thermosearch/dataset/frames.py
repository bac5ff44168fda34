"""Labelled configurations and the checks that keep bad ones out of a training set."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from thermosearch.configuration import Configuration
from thermosearch.runtime.errors import InputError

Label = Literal["energy", "forces", "stress"]


@dataclass(frozen=True)
class Frame:
    """One configuration with what a reference calculation says about it.

    Attributes
    ----------
    configuration : Configuration
        Numpy arrays, n atoms.
    energy : float or None
        Total energy, eV.
    forces : (n, 3) float64 or None
        eV/A.
    stress : (3, 3) float64 or None
        eV/A^3, positive in tension (ASE sign).
    group : str
        Name of the group errors are reported by; empty if the source has none.
    index : int
        Position in its source, counted from 0.
    problem : str
        What made the frame unreadable; empty for a sound one.
    """

    configuration: Configuration
    energy: float | None = None
    forces: np.ndarray | None = None
    stress: Float[np.ndarray, "3 3"] | None = None
    group: str = ""
    index: int = 0
    problem: str = ""

    def __len__(self) -> int:
        return len(self.configuration.numbers)


@dataclass(frozen=True)
class Dataset:
    """Sound frames of one source, and which of its frames were left out and why.

    Attributes
    ----------
    frames : tuple of Frame
        What is used.
    source : str
        File (or name) the frames come from.
    skipped : tuple of (int, str)
        Index in the source and reason of every frame left out.
    """

    frames: tuple[Frame, ...]
    source: str = ""
    skipped: tuple[tuple[int, str], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def __getitem__(self, position: int) -> Frame:
        return self.frames[position]

    @property
    def configurations(self) -> list[Configuration]:
        """The configurations in order."""
        return [frame.configuration for frame in self.frames]

    @property
    def groups(self) -> list[str]:
        """Group of every frame."""
        return [frame.group for frame in self.frames]

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur, ascending."""
        return tuple(sorted({int(z) for f in self.frames for z in f.configuration.numbers}))

    def subset(self, positions: Iterable[int]) -> "Dataset":
        """Frames at these positions, in the order given."""
        return Dataset(tuple(self.frames[int(k)] for k in positions), self.source)


def checked(
    frames: Sequence[Frame],
    source: str,
    *,
    bad: Literal["skip", "refuse"],
    require: tuple[Label, ...],
    max_force: float,
    duplicates: bool,
) -> Dataset:
    """Leave bad frames out, or refuse the file; either way each is named by its index.

    Parameters
    ----------
    frames : sequence of Frame
        As read.
    source : str
        Name of the file, for messages.
    bad : {"skip", "refuse"}
        What to do with a bad frame.
    require : tuple of {"energy", "forces", "stress"}
        Labels every frame must have.
    max_force : float
        A force component beyond it (eV/A) is taken for an error of the source.
    duplicates : bool
        Keep frames that repeat an earlier one (positions, cell, species and charge equal).

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        No sound frame, or a bad one where `bad` is "refuse".
    """
    if not frames:
        raise InputError(f"{source}: holds no frames; give a file with reference calculations")
    seen: dict[bytes, int] = {}
    kept, skipped = [], []
    for frame in frames:
        reason = _fault(frame, require, max_force)
        if not reason and not duplicates:
            first = seen.setdefault(_fingerprint(frame.configuration), frame.index)
            reason = f"repeats frame {first}" if first != frame.index else ""
        if reason:
            skipped.append((frame.index, reason))
        else:
            kept.append(frame)
    if skipped and bad == "refuse":
        raise InputError(f"{source}: bad frames: {listed(skipped)}; mend them, or skip bad frames")
    if not kept:
        raise InputError(f"{source}: no sound frame among {len(frames)}: {listed(skipped)}")
    return Dataset(tuple(kept), source, tuple(skipped))


def unreadable(index: int, reason: str) -> Frame:
    """Stand-in for a frame that could not be parsed."""
    empty = Configuration(
        positions=np.zeros((0, 3)),
        cell=np.zeros((3, 3)),
        pbc=np.zeros(3, dtype=bool),
        numbers=np.zeros(0, dtype=np.int32),
        total_charge=np.zeros(()),
    )
    return Frame(empty, index=index, problem=reason)


def from_voigt(stress: np.ndarray) -> Float[np.ndarray, "3 3"]:
    """Symmetric (3, 3) of (xx, yy, zz, yz, xz, xy)."""
    xx, yy, zz, yz, xz, xy = np.asarray(stress, dtype=np.float64)
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _fault(frame: Frame, require: tuple[Label, ...], max_force: float) -> str:
    """Say what is wrong with a frame; empty if nothing is."""
    return next(filter(None, _faults(frame, require, max_force)), "")


def _faults(frame: Frame, require: tuple[Label, ...], max_force: float) -> Iterator[str]:
    configuration, atoms, forces = frame.configuration, len(frame), frame.forces
    yield frame.problem
    yield "" if atoms else "no atoms"
    yield from (f"no {name}" for name in require if getattr(frame, name) is None)
    if forces is not None and forces.shape != (atoms, 3):
        yield f"forces of shape {forces.shape} for {atoms} atoms"
    labels = {
        "positions": configuration.positions,
        "cell": configuration.cell,
        "energy": frame.energy,
        "forces": forces,
        "stress": frame.stress,
    }
    for name, value in labels.items():
        if value is not None and not np.all(np.isfinite(value)):
            yield f"{name} not finite"
    if np.any(configuration.numbers <= 0):
        yield "unknown species"
    if np.all(configuration.pbc) and abs(np.linalg.det(configuration.cell)) < 1e-6:
        yield "cell of zero volume"
    if forces is not None and np.abs(forces).max() > max_force:
        yield f"force of {np.abs(forces).max():.0f} eV/A"


def _fingerprint(configuration: Configuration) -> bytes:
    """Bytes that agree for frames equal to 1e-6 A and 1e-6 e."""
    rounded = [
        np.round(np.asarray(x, dtype=np.float64), 6) + 0.0
        for x in (configuration.positions, configuration.cell, configuration.total_charge)
    ]
    return b"".join(x.tobytes() for x in (*rounded, np.asarray(configuration.numbers)))


def listed(skipped: Sequence[tuple[int, str]], most: int = 8) -> str:
    """Spell out the first few bad frames."""
    text = ", ".join(f"{index} ({reason})" for index, reason in skipped[:most])
    return text + (f" and {len(skipped) - most} more" if len(skipped) > most else "")
