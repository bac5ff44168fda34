"""Readers of reference data: each format written by ASE or by hand and read back."""

import io
import logging
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from thermosearch.dataset import Dataset, read_dataset
from thermosearch.runtime.errors import InputError

FILES = ["a.extxyz", "a.db", "a.npz", "input.data", "a.cfg"]
"""A name for every format."""


def labelled(count: int = 3) -> list[Atoms]:
    """Rattled, compressed and sheared Cu-Au cells with EMT's energies, forces and stress."""
    frames = []
    for seed in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.symbols[0] = "Au"
        strain = np.array([[0.96, 0.02, 0.0], [0.0, 0.97, 0.01], [0.0, 0.0, 0.95]])
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        atoms.rattle(0.1, seed=seed)
        frames.append(frozen(atoms, EMT()))
    return frames


def frozen(atoms: Atoms, calculator: Calculator) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = calculator
    results = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def assert_same(dataset: Dataset, frames: list[Atoms], tolerance: float = 1e-7) -> None:
    assert len(dataset) == len(frames)
    for found, atoms in zip(dataset, frames, strict=True):
        configuration = found.configuration
        np.testing.assert_array_equal(configuration.numbers, atoms.numbers)
        np.testing.assert_allclose(configuration.positions, atoms.positions, atol=tolerance)
        np.testing.assert_allclose(configuration.cell, atoms.cell[:], atol=tolerance)
        np.testing.assert_array_equal(configuration.pbc, atoms.pbc)
        assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=tolerance)
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=tolerance)
        if found.stress is not None:
            expected = atoms.get_stress(voigt=False)
            np.testing.assert_allclose(found.stress, expected, atol=tolerance)


def write_npz(path: Path, frames: list[Atoms], **changes: np.ndarray) -> None:
    arrays = {
        "positions": np.array([a.positions for a in frames]),
        "numbers": np.array([a.numbers for a in frames]),
        "cell": np.array([a.cell[:] for a in frames]),
        "energy": np.array([a.get_potential_energy() for a in frames]),
        "forces": np.array([a.get_forces() for a in frames]),
        "stress": np.array([a.get_stress(voigt=False) for a in frames]),
        "group": np.array(["bulk"] * len(frames)),
    }
    np.savez(path, **{**arrays, **changes})


def in_units(atoms: Atoms, length: float, energy: float) -> Atoms:
    """Same frame in units of `length` (A) and `energy` (eV)."""
    results = {
        "energy": atoms.get_potential_energy() / energy,
        "forces": atoms.get_forces() * length / energy,
        "stress": atoms.get_stress() * length**3 / energy,
    }
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell / length, scale_atoms=True)
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def runner_text(atoms: Atoms, length: float = units.Bohr, energy: float = units.Hartree) -> str:
    """One frame of `input.data`."""
    atoms = in_units(atoms, length, energy)
    lines = ["begin", "comment made by hand"]
    lines += ["lattice " + " ".join(f"{x:.12f}" for x in vector) for vector in atoms.cell]
    for symbol, position, force in zip(
        atoms.symbols, atoms.positions, atoms.get_forces(), strict=True
    ):
        values = [*position, symbol, 0.0, 0.0, *force]
        lines.append("atom " + " ".join(v if isinstance(v, str) else f"{v:.12f}" for v in values))
    total = atoms.get_potential_energy()
    return "\n".join([*lines, f"energy {total:.12f}", "charge 0.0", "end", ""])


def mlip_text(atoms: Atoms) -> str:
    """One frame of an MLIP .cfg with types 0 = Cu, 1 = Au."""
    lines = ["BEGIN_CFG", " Size", f"    {len(atoms)}", " Supercell"]
    lines += ["    " + " ".join(f"{x:.12f}" for x in vector) for vector in atoms.cell]
    lines.append(" AtomData:  id type  cartes_x  cartes_y  cartes_z  fx  fy  fz")
    for k, (symbol, position, force) in enumerate(
        zip(atoms.symbols, atoms.positions, atoms.get_forces(), strict=True)
    ):
        kind = 0 if symbol == "Cu" else 1
        lines.append(f"  {k + 1} {kind} " + " ".join(f"{x:.12f}" for x in (*position, *force)))
    lines += [" Energy", f"    {atoms.get_potential_energy():.12f}"]
    virial = -atoms.get_stress() * atoms.get_volume()
    lines += [" PlusStress:  xx  yy  zz  yz  xz  xy", " ".join(f"{x:.12f}" for x in virial)]
    return "\n".join([*lines, " Feature   EFS_by  EMT", "END_CFG", "", ""])


def write_database(path: Path, frames: list[Atoms], **about: str) -> None:
    with ase.db.connect(path, type=about.pop("type", "db")) as database:
        for atoms in frames:
            database.write(atoms, **about)


def write_any(path: Path, frames: list[Atoms]) -> None:
    """Write a file of the format its name tells, the numbers as they are."""
    match path.suffix:
        case ".extxyz":
            ase.io.write(path, frames)
        case ".db":
            write_database(path, frames)
        case ".npz":
            write_npz(path, frames)
        case ".data":
            path.write_text("".join(runner_text(atoms, 1.0, 1.0) for atoms in frames))
        case ".cfg":
            path.write_text("".join(mlip_text(atoms) for atoms in frames))


def test_extxyz(tmp_path: Path) -> None:
    frames = labelled()
    for atoms, group in zip(frames, ("a", "b", "a"), strict=True):
        atoms.info["group"] = group
    ase.io.write(tmp_path / "data.extxyz", frames)
    dataset = read_dataset(tmp_path / "data.extxyz")
    assert_same(dataset, frames)
    assert dataset.groups == ["a", "b", "a"]
    assert all(frame.stress is not None for frame in dataset)
    assert dataset.elements == (29, 79)


def test_extxyz_virial_is_minus_volume_times_stress(tmp_path: Path) -> None:
    atoms = labelled(1)[0]
    stress = atoms.get_stress(voigt=False)
    bare = frozen(atoms, EMT())
    del bare.calc.results["stress"]
    bare.info["virial"] = -stress * atoms.get_volume()
    ase.io.write(tmp_path / "data.xyz", bare, format="extxyz")
    np.testing.assert_allclose(read_dataset(tmp_path / "data.xyz")[0].stress, stress, atol=1e-7)


def test_ase_database(tmp_path: Path) -> None:
    frames = labelled()
    write_database(tmp_path / "data.db", frames, group="slab")
    dataset = read_dataset(tmp_path / "data.db")
    assert_same(dataset, frames)
    assert dataset.groups == ["slab"] * 3
    assert all(frame.stress is not None for frame in dataset)


@pytest.mark.parametrize(("name", "kind"), [("data.sqlite", "db"), ("data.json", "json")])
def test_ase_database_of_another_name(tmp_path: Path, name: str, kind: str) -> None:
    write_database(tmp_path / name, labelled(), type=kind)
    assert_same(read_dataset(tmp_path / name, format="db"), labelled())
    (tmp_path / name).write_text('{"name": "of something else"}')
    with pytest.raises(InputError, match=f"{name}: not an ASE database"):
        read_dataset(tmp_path / name, format="db")


def test_npz(tmp_path: Path) -> None:
    frames = labelled()
    write_npz(tmp_path / "data.npz", frames)
    dataset = read_dataset(tmp_path / "data.npz")
    assert_same(dataset, frames)
    assert dataset.groups == ["bulk"] * 3


def test_npz_of_molecules_in_kcal_per_mol(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).normal(size=(2, 3, 3))
    forces = np.arange(18.0).reshape(2, 3, 3)
    np.savez(
        tmp_path / "data.npz",
        R=positions,
        z=np.array([8, 1, 1]),
        E=np.array([[-1.0], [-2.0]])[:, 0],
        F=forces,
        e_unit="kcal/mol",
        r_unit="Ang",
    )
    dataset = read_dataset(tmp_path / "data.npz")
    factor = units.kcal / units.mol
    assert dataset[1].energy == pytest.approx(-2.0 * factor, rel=1e-12)
    np.testing.assert_allclose(dataset[1].forces, forces[1] * factor, rtol=1e-12)
    assert not dataset[0].configuration.pbc.any()


def test_npz_of_the_first_md17_sets_has_energies_in_a_column(tmp_path: Path) -> None:
    write_npz(tmp_path / "row.npz", labelled())
    column = np.array([[atoms.get_potential_energy()] for atoms in labelled()])
    write_npz(tmp_path / "column.npz", labelled(), energy=column)
    row, found = (read_dataset(tmp_path / name) for name in ("row.npz", "column.npz"))
    assert [frame.energy for frame in found] == [frame.energy for frame in row]
    write_npz(tmp_path / "wrong.npz", labelled(), energy=np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"wrong.npz: energy of shape \(3, 4\)"):
        read_dataset(tmp_path / "wrong.npz")


def test_npz_stress_in_voigt_order(tmp_path: Path) -> None:
    frames = labelled()
    write_npz(tmp_path / "data.npz", frames, stress=np.array([a.get_stress() for a in frames]))
    dataset = read_dataset(tmp_path / "data.npz")
    assert all(frame.stress is not None for frame in dataset)
    assert_same(dataset, frames)
    write_npz(tmp_path / "wrong.npz", frames, stress=np.zeros((3, 9)))
    with pytest.raises(InputError, match=r"wrong.npz: stress of shape \(3, 9\)"):
        read_dataset(tmp_path / "wrong.npz")


def rectangular(count: int) -> list[Atoms]:
    """Frames in one rectangular cell."""
    frames = []
    for seed in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell([3.5, 3.6, 3.7], scale_atoms=True)
        atoms.rattle(0.1, seed=seed)
        frames.append(frozen(atoms, EMT()))
    return frames


@pytest.mark.parametrize(
    ("count", "shape"), [(2, (2, 3)), (2, (3,)), (2, (3, 3)), (3, (3,)), (3, (3, 9))]
)
def test_npz_cells_of_every_shape(tmp_path: Path, count: int, shape: tuple[int, ...]) -> None:
    frames = rectangular(count)
    cells = np.array([atoms.cell[:] for atoms in frames])
    lengths = np.array([atoms.cell.lengths() for atoms in frames])
    shaped = {(3,): lengths[0], (3, 3): cells[0], (count, 3): lengths, (3, 9): cells.reshape(-1, 9)}
    write_npz(tmp_path / "data.npz", frames, cell=shaped[shape])
    assert_same(read_dataset(tmp_path / "data.npz"), frames)


def test_npz_cells_of_nine_numbers_are_rows_of_vectors(tmp_path: Path) -> None:
    cells = np.array([atoms.cell[:] for atoms in labelled()])
    write_npz(tmp_path / "data.npz", labelled(), cell=cells.reshape(-1, 9))
    assert_same(read_dataset(tmp_path / "data.npz"), labelled())


@pytest.mark.parametrize(
    ("key", "array", "complaint"),
    [
        ("cell", np.eye(3), r"of shape \(3, 3\)"),
        ("cell", np.ones((3, 6)), r"of shape \(3, 6\)"),
        ("numbers", np.full(5, 29), r"of shape \(5,\)"),
        ("numbers", np.full((2, 4), 29), r"of shape \(2, 4\)"),
        ("numbers", np.full(4, 28.5), "not whole"),
        ("numbers", np.full(4, np.nan), "not whole"),
        ("numbers", np.array(["Cu", "Cu", "Xq", "Cu"]), "unknown symbol 'Xq'"),
        ("positions", np.zeros((3, 4, 2)), r"of shape \(3, 4, 2\)"),
        ("energy", np.zeros(2), r"of shape \(2,\)"),
        ("energy", np.array(["a", "b", "c"]), "of type <U1; give numbers"),
        ("forces", np.zeros((4, 3)), r"of shape \(4, 3\)"),
        ("pbc", np.ones(2, dtype=bool), r"of shape \(2,\)"),
        ("group", np.array([["a"], ["b"], ["c"]]), r"of shape \(3, 1\)"),
        ("e_unit", np.array(1.0), "of type float64; give text"),
        ("r_unit", np.array(["A", "A", "A"]), r"of shape \(3,\)"),
    ],
)
def test_npz_arrays_that_fit_no_frames_are_named(
    tmp_path: Path, key: str, array: np.ndarray, complaint: str
) -> None:
    write_npz(tmp_path / "data.npz", labelled(), **{key: array})
    with pytest.raises(InputError, match=f"data.npz: {key}:? {complaint}"):
        read_dataset(tmp_path / "data.npz")


@pytest.mark.parametrize("kind", [np.str_, np.bytes_])
def test_npz_of_symbols_and_bytes(tmp_path: Path, kind: type) -> None:
    symbols = np.array([list(atoms.symbols) for atoms in labelled()]).astype(kind)
    groups = np.array(["a", "b", "a"]).astype(kind)
    write_npz(tmp_path / "data.npz", labelled(), numbers=symbols, group=groups)
    dataset = read_dataset(tmp_path / "data.npz")
    assert_same(dataset, labelled())
    assert dataset.groups == ["a", "b", "a"]
    write_npz(tmp_path / "one.npz", labelled(), numbers=symbols[0], group=kind("c"), pbc=True)
    dataset = read_dataset(tmp_path / "one.npz")
    assert_same(dataset, labelled())
    assert dataset.groups == ["c"] * 3
    symbols[:, 3] = ""
    write_npz(tmp_path / "padded.npz", labelled(), numbers=symbols)
    assert [len(frame) for frame in read_dataset(tmp_path / "padded.npz")] == [3, 3, 3]


def test_npz_padding_atoms_are_dropped(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "data.npz",
        positions=np.random.default_rng(0).normal(size=(1, 3, 3)),
        numbers=np.array([[14, 14, 0]]),
        energy=np.array([-1.0]),
        forces=np.ones((1, 3, 3)),
    )
    frame = read_dataset(tmp_path / "data.npz")[0]
    assert len(frame) == 2
    assert frame.forces.shape == (2, 3)


def test_runner_is_in_bohr_and_hartree(tmp_path: Path) -> None:
    frames = labelled()
    (tmp_path / "input.data").write_text("".join(runner_text(atoms) for atoms in frames))
    assert_same(read_dataset(tmp_path / "input.data"), frames, tolerance=1e-8)


def test_runner_in_other_units(tmp_path: Path) -> None:
    text = "begin\natom 1.0 0.0 0.0 Ar 0.0 0.0 0.5 0.0 0.0\nenergy -2.0\ncharge 1.0\nend\n"
    (tmp_path / "input.data").write_text(text)
    frame = read_dataset(tmp_path / "input.data", length_unit="A", energy_unit="eV")[0]
    assert frame.energy == -2.0
    np.testing.assert_array_equal(frame.forces, [[0.5, 0.0, 0.0]])
    np.testing.assert_array_equal(frame.configuration.positions, [[1.0, 0.0, 0.0]])
    assert float(frame.configuration.total_charge) == 1.0
    assert not frame.configuration.pbc.any()


def test_mlip(tmp_path: Path) -> None:
    frames = labelled()
    (tmp_path / "train.cfg").write_text("".join(mlip_text(atoms) for atoms in frames))
    dataset = read_dataset(tmp_path / "train.cfg", elements=("Cu", "Au"))
    assert_same(dataset, frames)
    assert all(frame.stress is not None for frame in dataset)


def test_mlip_stress_is_the_slope_of_the_energy(tmp_path: Path) -> None:
    """The sign of `PlusStress` against E(strain) itself, not against our own conversion."""
    atoms = labelled(1)[0]
    (tmp_path / "train.cfg").write_text(mlip_text(atoms))
    stress = read_dataset(tmp_path / "train.cfg", elements=("Cu", "Au"))[0].stress
    step, energies = 1e-5, []
    for sign in (1, -1):
        strained = atoms.copy()
        strain = np.eye(3)
        strain[0, 0] += sign * step
        strained.set_cell(atoms.cell @ strain, scale_atoms=True)
        strained.calc = EMT()
        energies.append(strained.get_potential_energy())
    slope = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
    assert stress[0, 0] == pytest.approx(slope, rel=1e-5)
    assert stress[0, 0] < 0, "the cell is compressed: negative in ASE's sign"


def test_mlip_needs_elements_and_knows_its_types(tmp_path: Path) -> None:
    path = tmp_path / "train.cfg"
    path.write_text(mlip_text(labelled(1)[0]))
    with pytest.raises(InputError, match="state `elements`"):
        read_dataset(path)
    with pytest.raises(InputError, match="type 1 beyond the 1 elements"):
        read_dataset(path, elements=("Cu",))
    with pytest.raises(InputError, match="unknown symbol 'Xq'"):
        read_dataset(path, elements=("Cu", "Xq"))


def bad_frames(kind: str) -> dict[str, np.ndarray]:
    """Arrays in which frame 1 of three has one fault."""
    frames = labelled()
    forces = np.array([a.get_forces() for a in frames])
    positions = np.array([a.positions for a in frames])
    energy = np.array([a.get_potential_energy() for a in frames])
    cell = np.array([a.cell[:] for a in frames])
    numbers = np.array([a.numbers for a in frames])
    if kind == "forces not finite":
        forces[1, 2, 0] = np.nan
    elif kind == "energy not finite":
        energy[1] = np.inf
    elif kind == "positions not finite":
        positions[1, 0, 0] = np.nan
    elif kind == "force of 9999 eV/A":
        forces[1, 0, 0] = 9999.0
    elif kind == "cell of zero volume":
        cell[1, 2] = cell[1, 1]
    elif kind == "repeats frame 0":
        positions[1], cell[1] = positions[0], cell[0]
    elif kind == "unknown species":
        numbers[1, 0] = -3
    return {
        "positions": positions,
        "cell": cell,
        "forces": forces,
        "energy": energy,
        "numbers": numbers,
    }


@pytest.mark.parametrize(
    "kind",
    [
        "forces not finite",
        "energy not finite",
        "positions not finite",
        "force of 9999 eV/A",
        "cell of zero volume",
        "repeats frame 0",
        "unknown species",
    ],
)
def test_bad_frames_are_named_and_skipped_or_refused(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "data.npz"
    write_npz(path, labelled(), **bad_frames(kind))
    with caplog.at_level(logging.WARNING):
        dataset = read_dataset(path)
    assert [frame.index for frame in dataset] == [0, 2]
    assert dataset.skipped == ((1, kind),)
    assert f"1 ({kind})" in caplog.text
    with pytest.raises(InputError, match=r"bad frames: 1 \("):
        read_dataset(path, bad="refuse")


def test_extxyz_frame_of_the_wrong_length_spoils_no_other(tmp_path: Path) -> None:
    frames = labelled()
    text = []
    for atoms in frames:
        stream = io.StringIO()
        ase.io.write(stream, atoms, format="extxyz")
        text.append(stream.getvalue())
    text[1] = "\n".join(text[1].splitlines()[:-1]) + "\n"
    path = tmp_path / "data.extxyz"
    path.write_text("".join(text))
    dataset = read_dataset(path)
    assert [frame.index for frame in dataset] == [0, 2]
    assert dataset.skipped == ((1, "3 atom lines for 4 atoms"),)


def extxyz_text(atoms: Atoms) -> str:
    stream = io.StringIO()
    ase.io.write(stream, atoms, format="extxyz")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("energy=", "energy=None old=", "could not convert"),
        ("\nAu", "\nX ", "of no element"),
        ("Properties=", "Properties=5 old=", "no attribute 'split'"),
    ],
)
def test_extxyz_frame_that_cannot_be_taken_spoils_no_other(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    text = [extxyz_text(atoms) for atoms in labelled()]
    assert old in text[1]
    text[1] = text[1].replace(old, new)
    path = tmp_path / "data.extxyz"
    path.write_text("".join(text))
    dataset = read_dataset(path)
    assert [frame.index for frame in dataset] == [0, 2]
    assert reason in dataset.skipped[0][1]


def test_extxyz_virial_of_a_molecule_is_no_stress(tmp_path: Path) -> None:
    text = 'Properties=species:S:1:pos:R:3:forces:R:3 energy=-1 virial="1 0 0 0 1 0 0 0 1"'
    molecule = f"2\n{text}\nCu 0 0 0 0 0 0\nCu 0 0 2.2 0 0 0\n"
    (tmp_path / "data.xyz").write_text(extxyz_text(labelled(1)[0]) + molecule)
    dataset = read_dataset(tmp_path / "data.xyz")
    assert [frame.stress is None for frame in dataset] == [False, True]


def test_extxyz_blank_lines_between_frames(tmp_path: Path) -> None:
    frames = labelled()
    path = tmp_path / "data.extxyz"
    path.write_text("\n".join(extxyz_text(atoms) for atoms in frames) + "\n\n")
    assert_same(read_dataset(path), frames)


def test_capital_suffix_and_byte_order_mark(tmp_path: Path) -> None:
    frames = labelled()
    text = "".join(extxyz_text(atoms) for atoms in frames)
    (tmp_path / "DATA.XYZ").write_text(text, encoding="utf-8-sig")
    assert_same(read_dataset(tmp_path / "DATA.XYZ"), frames)
    runner = "".join(runner_text(atoms) for atoms in frames)
    (tmp_path / "INPUT.DATA").write_text(runner, encoding="utf-8-sig")
    assert_same(read_dataset(tmp_path / "INPUT.DATA"), frames, tolerance=1e-8)


def test_database_row_with_a_ghost_atom_spoils_no_other(tmp_path: Path) -> None:
    first, second = labelled(2)
    ghost = first.copy()
    ghost.numbers[2] = 0
    write_database(tmp_path / "data.db", [first, ghost, second])
    dataset = read_dataset(tmp_path / "data.db")
    assert_same(dataset, [first, second])
    assert [index for index, _ in dataset.skipped] == [1]


def test_frames_of_other_charge_are_no_repeats(tmp_path: Path) -> None:
    frames = labelled(1) * 3
    for charge, atoms in enumerate(frames := [atoms.copy() for atoms in frames]):
        atoms.info["total_charge"] = charge // 2
        atoms.calc = SinglePointCalculator(atoms, energy=-charge, forces=np.zeros((4, 3)))
    ase.io.write(tmp_path / "data.extxyz", frames)
    dataset = read_dataset(tmp_path / "data.extxyz")
    assert [frame.index for frame in dataset] == [0, 2]
    assert dataset.skipped == ((1, "repeats frame 0"),)


def test_missing_labels(tmp_path: Path) -> None:
    frames = labelled()
    frames[1].calc = SinglePointCalculator(frames[1], energy=-1.0)
    path = tmp_path / "data.extxyz"
    ase.io.write(path, frames)
    assert read_dataset(path).skipped == ((1, "no forces"),)
    assert len(read_dataset(path, require=("energy",))) == 3
    assert read_dataset(path, require=("energy",))[1].forces is None


def test_truncated_runner_and_mlip_frames(tmp_path: Path) -> None:
    first, second = labelled(2)
    (tmp_path / "input.data").write_text(runner_text(first) + runner_text(second)[:200])
    assert [frame.index for frame in read_dataset(tmp_path / "input.data")] == [0]
    (tmp_path / "t.cfg").write_text(mlip_text(first) + mlip_text(second)[:300])
    assert [f.index for f in read_dataset(tmp_path / "t.cfg", elements=("Cu", "Au"))] == [0]


@pytest.mark.parametrize("name", FILES)
def test_missing_and_empty_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InputError, match="no such file"):
        read_dataset(path)
    path.touch()
    with pytest.raises(InputError, match="the file is empty") as caught:
        read_dataset(path, elements=("Cu",))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_something_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Dear diary,\ntoday I computed nothing.\n" * 40)
    with pytest.raises(InputError) as caught:
        read_dataset(path, elements=("Cu",))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_format(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="format not told"):
        read_dataset(tmp_path / "a.txt")


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_other_units(tmp_path: Path, name: str) -> None:
    path, frames = tmp_path / name, labelled()
    write_any(path, [in_units(atoms, units.Bohr, units.kJ / units.mol) for atoms in frames])
    found = read_dataset(
        path, elements=("Cu", "Au"), length_unit="bohr", energy_unit="kJ/mol", max_force=50.0
    )
    assert_same(found, frames)
    assert [frame.stress is None for frame in found] == [name == "input.data"] * 3


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("key", ["length_unit", "energy_unit"])
@pytest.mark.parametrize("unit", ["parsec", ""])
def test_unknown_units_are_refused(tmp_path: Path, name: str, key: str, unit: str) -> None:
    write_any(tmp_path / name, labelled(1))
    with pytest.raises(InputError, match=f"{name}: {key} = '{unit}' is unknown; use one of"):
        read_dataset(tmp_path / name, elements=("Cu", "Au"), **{key: unit})


def test_the_largest_force_is_one_in_ev_per_angstrom(tmp_path: Path) -> None:
    frames = labelled()
    ase.io.write(tmp_path / "data.extxyz", frames)
    largest = max(np.abs(atoms.get_forces()).max() for atoms in frames)
    atomic_units = {"length_unit": "bohr", "energy_unit": "hartree"}
    limit = 2.0 * largest
    assert len(read_dataset(tmp_path / "data.extxyz", max_force=limit)) == 3
    with pytest.raises(InputError, match="force of"):
        read_dataset(tmp_path / "data.extxyz", max_force=limit, **atomic_units)


@pytest.mark.shared
def test_reference_stress_is_negative_under_compression(shared: Path) -> None:
    """Elastic frames of the reference data: smaller volume, lower (more negative) stress."""
    dataset = read_dataset(shared / "data/mlearn/Si_train.extxyz")
    elastic = [f for f in dataset if f.group == "Elastic"]
    volume = [abs(np.linalg.det(f.configuration.cell)) / len(f) for f in elastic]
    pressure = [-np.trace(f.stress) / 3 for f in elastic]
    assert np.corrcoef(volume, pressure)[0, 1] < -0.9


@pytest.mark.shared
def test_every_reference_file_is_read(shared: Path) -> None:
    expected = {"mlearn/Si_test": 25, "mlearn/Mo_test": 23, "ethylammonium_nitrate/pairs15": 60}
    for name, count in expected.items():
        assert len(read_dataset(shared / f"data/{name}.extxyz")) == count
