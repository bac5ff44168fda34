"""Structures of a search as ASE frames, with what is known of each; extxyz and ASE database."""

import io
import tempfile
from functools import partial
from pathlib import Path

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from jaxtyping import Float

from thermosearch.configuration import to_ase
from thermosearch.runtime.context import RunContext
from thermosearch.search.archive import Minimum
from thermosearch.search.finish import Minima
from thermosearch.search.founder import FROZEN, Founder
from thermosearch.search.members import RelaxedSlab
from thermosearch.search.observables import (
    SlabReference,
    dimer_labels,
    has_dimers,
    has_surface_energy,
    surface_energy,
    top_dimers,
)
from thermosearch.search.problem import Problem
from thermosearch.search.quantities import energy_unit
from thermosearch.structure.layer_group import symmetry_label
from thermosearch.structure.matching import point_group_order

Frames = dict[str, list[Atoms]]
"""Structures by the name of their file."""

LARGEST_CLUSTER = 60
"""Atoms of the largest cluster of which the order of the point group is counted."""


def frames_of(problem: Problem, minima: Minima, slabs: list[RelaxedSlab]) -> Frames:
    """Every structure worth keeping, with what is known of it in `info`."""
    whole, members = slabs[0], slabs[1:]
    founder = np.asarray(problem.founder.configuration.positions)
    frame = partial(_frame, problem)
    own = partial(frame, whole.reference)
    frames = {
        "structures/best.extxyz": [own(whole.energy, whole.positions, label="best structure")],
        "structures/founder.extxyz": [],
        "structures/minima.extxyz": [
            own(each.energy, each.positions, label=f"minimum {rank}", **_ancestry(problem, each))
            for rank, each in enumerate(minima.archive.minima)
        ],
        "structures/members.extxyz": [
            frame(
                slab.reference,
                slab.energy,
                slab.positions,
                label=f"best by member {member}",
                member=member,
            )
            for member, slab in enumerate(members)
        ],
    }
    if whole.reference is not None:
        frames["structures/founder.extxyz"] = [
            own(whole.reference.ideal, founder, label="unreconstructed")
        ]
    return frames


def write_frames(frames: Frames, context: RunContext) -> None:
    """Write every group as extxyz, and the minima as an ASE database too."""
    for name, group in frames.items():
        if group:
            buffer = io.StringIO()
            ase.io.write(buffer, group, format="extxyz")
            context.folder.write(name, buffer.getvalue())
    context.folder.write("structures/minima.db", _database(frames["structures/minima.extxyz"]))


def _database(minima: list[Atoms]) -> bytes:
    """Make an ASE database in a temporary folder: the run's may lack the locks SQLite needs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "minima.db"
        with ase.db.connect(path) as database:
            for atoms in minima:
                facts = {key: value for key, value in atoms.info.items() if key != "label"}
                bare = atoms.copy()
                bare.info = {}
                database.write(bare, key_value_pairs=facts)
        return path.read_bytes()


def _ancestry(problem: Problem, minimum: Minimum) -> dict[str, str | int | float]:
    """Where a minimum was first met, and from which energy it was reached."""
    facts = {
        "engine": minimum.engine,
        "seed": minimum.seed,
        "generation": minimum.generation,
        "first_hit_calls": minimum.calls,
        "hits": minimum.hits,
    }
    if np.isnan(minimum.parent):
        return facts
    return facts | {f"parent_energy_{energy_unit(problem)}": minimum.parent}


def _frame(
    problem: Problem,
    reference: SlabReference | None,
    energy: float,
    positions: Float[np.ndarray, "n 3"],
    **facts: str | int | float,
) -> Atoms:
    founder = problem.founder
    configuration = founder.configuration._replace(positions=positions)
    atoms = to_ase(configuration)
    atoms.arrays["role"] = founder.role
    atoms.arrays["frozen"] = founder.role == FROZEN
    atoms.info |= facts | {f"energy_{energy_unit(problem)}": energy}
    if not founder.is_slab:
        if not configuration.pbc.any() and len(atoms) <= LARGEST_CLUSTER:
            atoms.info["point_group_order"] = point_group_order(configuration)
        elif configuration.pbc.all():
            atoms.info["space_group"] = symmetry_label(configuration)
        return atoms
    atoms.info["layer_group"] = symmetry_label(configuration)
    if reference is not None and has_surface_energy(founder):
        atoms.info["surface_energy_J_per_m2"] = surface_energy(founder, reference, energy)
    if has_dimers(founder):
        _add_dimers(atoms, founder, positions)
    return atoms


def _add_dimers(atoms: Atoms, founder: Founder, positions: Float[np.ndarray, "n 3"]) -> None:
    dimers = top_dimers(founder, positions)
    atoms.arrays["dimer"] = dimer_labels(dimers, len(positions))
    atoms.info["dimers"] = len(dimers.pairs)
    if len(dimers.pairs):
        atoms.info["dimer_length_A"] = float(dimers.lengths.mean())
        atoms.info["dimer_buckling_deg"] = float(dimers.buckling_angles.mean())
