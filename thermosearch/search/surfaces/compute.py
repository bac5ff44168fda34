"""What the potential says of every structure of a surface study, through checkpoints and stops."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from ase import Atoms
from jaxtyping import Bool, Float

from thermosearch.configuration import Configuration, from_ase
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.members import members_of
from thermosearch.relax.minimise import minimise
from thermosearch.runtime.context import RunContext
from thermosearch.runtime.errors import InputError
from thermosearch.search.shares import shares
from thermosearch.search.surfaces.balance import is_mobile
from thermosearch.search.surfaces.gamma import NO_MEMBERS
from thermosearch.search.surfaces.phonons import mode_energies
from thermosearch.search.surfaces.prepare import Prepared

FORCE = 0.005
"""Force, eV/A, down to which slabs are relaxed."""


class Structure(NamedTuple):
    """One structure and what is asked of it.

    Attributes
    ----------
    label : str
        For messages.
    atoms : Atoms
    relax : bool
        Relax it first.
    vibrates : (n,) bool or None
        Atoms whose phonons are wanted; None for none.
    """

    label: str
    atoms: Atoms
    relax: bool = False
    vibrates: Bool[np.ndarray, " n"] | None = None


class Computed(NamedTuple):
    """What the potential gives of a structure.

    Attributes
    ----------
    energy : float
        eV.
    deviations : (members,) float64
        What each member of a committee gives more than their mean, eV.
    modes : (m,) float64
        h-bar omega of the phonons asked for, eV.
    """

    energy: float
    deviations: Float[np.ndarray, " members"] = NO_MEMBERS
    modes: Float[np.ndarray, " m"] = np.zeros(0)


def compute_all(prepared: Prepared, context: RunContext) -> dict[str, Computed] | None:
    """Evaluate every structure of a study, from the latest checkpoint on.

    Parameters
    ----------
    prepared : Prepared
        The study.
    context : RunContext
        Ranks share the structures; asked whether to stop as often as each has done one.

    Returns
    -------
    dict of str to Computed or None
        By `slabs/K`, `other_faces/K` and `reservoirs/K`, where the study has such a structure.
        None if it was told to stop; the checkpoint holds what is done.

    Raises
    ------
    InputError
        If a slab does not relax, or a mode is unstable.
    """
    done = _taken_up(context)
    rest = [each for each in _structures(prepared).items() if each[0] not in done]
    for share in shares(rest, context.communicator.size):
        stopping = context.stop()
        if stopping or context.checkpoint_due():
            _save(done, context)
        if stopping:
            return None
        names, structures = zip(*share, strict=True)
        found = context.communicator.map(partial(_compute, prepared.potential), structures)
        done |= zip(names, found, strict=True)
    return done


def _structures(prepared: Prepared) -> dict[str, Structure]:
    """Slabs first: they take longest, and ranks then begin with as many of these."""
    found = {}
    for k, (entry, atoms, _) in enumerate(prepared.slabs):
        vibrates = is_mobile(atoms) if entry.vibrations == "phonons" else None
        found[f"slabs/{k}"] = Structure(f"slabs: {entry.label}", atoms, entry.relax, vibrates)
    for k, (entry, _, other) in enumerate(prepared.slabs):
        if other is not None:
            found[f"other_faces/{k}"] = Structure(f"slabs: {entry.label}: other_face", other)
    for k, (entry, atoms) in enumerate(prepared.reservoirs):
        if atoms is not None:
            vibrates = np.ones(len(atoms), bool) if entry.vibrations == "phonons" else None
            found[f"reservoirs/{k}"] = Structure("reservoirs", atoms, vibrates=vibrates)
    return found


def _compute(potential: Potential, structure: Structure) -> Computed:
    label, atoms, relax, vibrates = structure
    configuration = from_ase(atoms)
    if relax:
        (relaxed,) = minimise(
            potential,
            [configuration],
            mobile=is_mobile(atoms),
            force_tolerance=FORCE,
            width=1,
        )
        if not relaxed.converged:
            raise InputError(f"{label}: it does not relax ({relaxed.status.name})")
        configuration = relaxed.configuration
    found = Computed(_energy(potential, configuration), _deviations(potential, configuration))
    if vibrates is None:
        return found
    masses = atoms.get_masses()
    return found._replace(modes=mode_energies(potential, configuration, masses, vibrates))


def _energy(potential: Potential, configuration: Configuration) -> float:
    return float(evaluate(potential, [configuration], ("energy",))[0].energy)


def _deviations(
    potential: Potential, configuration: Configuration
) -> Float[np.ndarray, " members"]:
    """Return what each member of a committee gives more than their mean, eV."""
    members = members_of(potential)
    if not members:
        return NO_MEMBERS
    energies = np.array([_energy(member, configuration) for member in members])
    return energies - energies.mean()


def _save(done: Mapping[str, Computed], context: RunContext) -> None:
    arrays = {
        f"{name}/{field}": np.asarray(value)
        for name, computed in done.items()
        for field, value in computed._asdict().items()
    }
    context.checkpoints.save(len(done), arrays, {"structures": [*done]})


def _taken_up(context: RunContext) -> dict[str, Computed]:
    """Read what the latest checkpoint holds; nothing where there is none."""
    checkpoint = context.checkpoints.load_latest()
    if checkpoint is None:
        return {}
    arrays = checkpoint.arrays
    return {
        name: Computed(
            float(arrays[f"{name}/energy"]), arrays[f"{name}/deviations"], arrays[f"{name}/modes"]
        )
        for name in checkpoint.meta["structures"]
    }
