"""Write the card of the shipped silicon model: what it was trained on and how far to trust it.

    python studies/silicon_model/card.py MODEL.npz DATA_FOLDER OUTPUT_STEM

DATA_FOLDER is the reference data's (it holds `mlearn` and `silicon`); OUTPUT_STEM.json and
OUTPUT_STEM.md are written. Every number is computed here from the model file given.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, surface
from ase.spacegroup import crystal

from thermosearch.configuration import Configuration, from_ase, to_ase
from thermosearch.dataset import read_dataset
from thermosearch.neural.metrics import evaluate_dataset
from thermosearch.neural.model_file import ModelFile, load_file
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.relax.minimise import minimise
from thermosearch.units import EV_PER_A2_IN_J_PER_M2, EV_PER_A3_IN_GPA

SURFACES = {"100": (1, 0, 0), "110": (1, 1, 0), "111": (1, 1, 1)}


def main(model_path: str, data_folder: str, stem: str) -> None:
    file, data = load_file(model_path), Path(data_folder)
    potential = file.model
    diamond = relaxed_crystal(potential, phases()["diamond"])
    card = {
        "name": file.about["name"],
        "licence": file.about["licence"],
        "data": file.about["data"],
        "cutoff_A": potential.cutoff,
        "members": potential.config.members,
        "errors": data_errors(potential, data),
        "diamond": diamond_properties(potential, diamond),
        "pressure_rises_A3_per_atom": pressure_rises(potential),
        "phases": phase_curves(potential, data / "silicon/castep_reference", diamond),
        "surfaces": surface_energies(potential, diamond),
        "vacancy_eV": vacancy(potential, diamond),
        "dimer_row": dimer_frame(potential, data),
    }
    reference = castep(data / "silicon/castep_reference")
    Path(f"{stem}.json").write_text(json.dumps(card, indent=1) + "\n")
    Path(f"{stem}.md").write_text(as_markdown(card, reference, file))


def data_errors(potential: Potential, data: Path) -> dict[str, Any]:
    """Errors on every file, by group; the random crystals by their height above diamond."""
    found = {}
    for name in ("mlearn/Si_test", "mlearn/Si_train"):
        dataset = read_dataset(data / f"{name}.extxyz", duplicates=True)
        found[name] = evaluate_dataset(potential, dataset)
    crystals = read_dataset(data / "silicon/random_crystals.extxyz")
    above = np.array([f.energy / len(f) for f in crystals]) + 5.425
    for low, high in ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 10.0), (10.0, 40.0)):
        chosen = crystals.subset(np.flatnonzero((above >= low) & (above < high)))
        key = f"silicon/random_crystals, {low:g} to {high:g} eV/atom above diamond"
        found[key] = evaluate_dataset(potential, chosen)
    return found


def phases() -> dict[str, Atoms]:
    """Starting structures of the phases of the reference."""
    bcc, fcc = bulk("Si", "bcc", a=3.09), bulk("Si", "fcc", a=3.87)
    hexagonal = crystal("Si", [(1 / 3, 2 / 3, 0.0627)], spacegroup=194, cellpar=_hex(3.85, 6.37))
    tin = crystal("Si", [(0, 0, 0)], spacegroup=141, cellpar=[4.81, 4.81, 2.65, 90, 90, 90])
    bc8 = crystal("Si", [(0.1003,) * 3], spacegroup=206, cellpar=[6.64] * 3 + [90] * 3)
    sites = [(0.0912, 0.0912, 0.0), (0.1730, 0.3784, 0.2486)]
    st12 = crystal(["Si"] * 2, sites, spacegroup=96, cellpar=[5.66, 5.66, 6.75, 90, 90, 90])
    return {
        "diamond": bulk("Si", "diamond", a=5.46),
        "hex_diamond": hexagonal,
        "beta-Sn": tin,
        "sh": Atoms("Si", cell=_hex(2.64, 2.49), scaled_positions=[(0, 0, 0)], pbc=True),
        "bc8": bc8,
        "st12": st12,
        "bcc": bcc,
        "fcc": fcc,
        "hcp": bulk("Si", "hcp", a=2.70, c=4.41),
        "hcp_short_and_fat": bulk("Si", "hcp", a=3.24, c=3.55),
    }


def _hex(a: float, c: float) -> list[float]:
    return [a, a, c, 90, 90, 120]


def relaxed_crystal(potential: Potential, atoms: Atoms) -> Configuration:
    """Crystal with its cell and atoms relaxed at zero pressure."""
    (found,) = minimise(
        potential,
        [from_ase(atoms)],
        cell=True,
        force_tolerance=1e-3,
        stress_tolerance=1e-5,
        max_steps=2000,
    )
    return found.configuration


def phase_curves(potential: Potential, folder: Path, diamond: Configuration) -> dict[str, Any]:
    """E(V) at the volumes of the reference, atoms relaxed in the scaled equilibrium cell.

    Energies are relative to diamond's minimum, the model's own and the reference's own.
    """
    reference = castep(folder)
    zero = energy_per_atom(potential, diamond)
    bottom = min(e for _, e in reference["curves"]["diamond"])
    found = {}
    for name, atoms in phases().items():
        start = diamond if name == "diamond" else relaxed_crystal(potential, atoms)
        curve = reference["curves"][name]
        scaled = [_at_volume(start, volume) for volume, _ in curve]
        relaxed = minimise(potential, scaled, force_tolerance=2e-3, max_steps=500)
        energies = [r.energy / len(r.forces) - zero for r in relaxed]
        dft = [e - bottom for _, e in curve]
        found[name] = {
            "volume_A3_per_atom": [round(v, 4) for v, _ in curve],
            "energy_eV_per_atom": [round(e, 4) for e in energies],
            "dft_eV_per_atom": [round(e, 4) for e in dft],
            "equilibrium_volume_A3_per_atom": _volume(start),
        }
    return found


def _volume(configuration: Configuration) -> float:
    return float(abs(np.linalg.det(configuration.cell)) / len(configuration.numbers))


def _at_volume(configuration: Configuration, volume: float) -> Configuration:
    factor = (volume / _volume(configuration)) ** (1 / 3)
    return configuration._replace(
        positions=configuration.positions * factor, cell=configuration.cell * factor
    )


def energy_per_atom(potential: Potential, configuration: Configuration) -> float:
    (found,) = evaluate(potential, [configuration], ("energy",))
    return float(found.energy) / len(configuration.numbers)


def diamond_properties(potential: Potential, diamond: Configuration) -> dict[str, float]:
    """Lattice constant and elastic constants, atoms relaxed in the strained cell."""
    step = 0.004

    def stress(strain: np.ndarray) -> np.ndarray:
        deform = np.eye(3) + strain
        bent = diamond._replace(positions=diamond.positions @ deform, cell=diamond.cell @ deform)
        (relaxed,) = minimise(potential, [bent], force_tolerance=1e-4, max_steps=500)
        (found,) = evaluate(potential, [relaxed.configuration], ("energy", "forces", "stress"))
        return np.asarray(found.stress) * EV_PER_A3_IN_GPA

    stretch, shear = np.zeros((3, 3)), np.zeros((3, 3))
    stretch[0, 0], shear[1, 2], shear[2, 1] = step, step / 2, step / 2
    slope = (stress(stretch) - stress(-stretch)) / (2 * step)
    c44 = (stress(shear) - stress(-shear))[1, 2] / (2 * step)
    c11, c12 = slope[0, 0], slope[1, 1]
    return {
        "a0_A": (4 * abs(np.linalg.det(diamond.cell))) ** (1 / 3),
        "energy_eV_per_atom": energy_per_atom(potential, diamond),
        "bulk_modulus_GPa": (c11 + 2 * c12) / 3,
        "c11_GPa": c11,
        "c12_GPa": c12,
        "c44_GPa": float(c44),
    }


def pressure_rises(potential: Potential) -> list[float]:
    """Volumes from 6 to 30 A^3/atom at which the pressure of diamond rises as it is stretched."""
    volumes = np.linspace(6.0, 30.0, 97)
    cells = [from_ase(bulk("Si", "diamond", a=(8 * v) ** (1 / 3))) for v in volumes]
    found = evaluate(potential, cells, ("energy", "forces", "stress"))
    pressures = np.array([-np.trace(p.stress) / 3 for p in found])
    return volumes[1:][np.diff(pressures) >= 0].tolist()


def surface_energies(potential: Potential, diamond: Configuration) -> dict[str, dict[str, float]]:
    """Unreconstructed (1x1) faces, as cut and relaxed, J/m^2."""
    zero = energy_per_atom(potential, diamond)
    a0 = (4 * abs(np.linalg.det(diamond.cell))) ** (1 / 3)
    cubic = bulk("Si", "diamond", a=a0, cubic=True)
    found = {}
    for name, miller in SURFACES.items():
        slab = surface(cubic, miller, 6 if name == "100" else 8, vacuum=7.0, periodic=True)
        start = from_ase(slab)
        area = float(np.linalg.norm(np.cross(start.cell[0], start.cell[1])))
        atoms = len(start.numbers)
        (relaxed,) = minimise(potential, [start], force_tolerance=5e-3, max_steps=1000)
        cut = energy_per_atom(potential, start) * atoms
        factor = EV_PER_A2_IN_J_PER_M2 / (2 * area)
        found[name] = {
            "as_cut_J_per_m2": (cut - zero * atoms) * factor,
            "relaxed_J_per_m2": (relaxed.energy - zero * atoms) * factor,
        }
    return found


def vacancy(potential: Potential, diamond: Configuration) -> float:
    """Formation energy of a vacancy in 216 atoms, relaxed at the bulk lattice constant, eV."""
    a0 = (4 * abs(np.linalg.det(diamond.cell))) ** (1 / 3)
    atoms = bulk("Si", "diamond", a=a0, cubic=True) * (3, 3, 3)
    del atoms[0]
    atoms.rattle(0.01, seed=0)
    (relaxed,) = minimise(potential, [from_ase(atoms)], force_tolerance=5e-3, max_steps=1000)
    return relaxed.energy - len(atoms) * energy_per_atom(potential, diamond)


def dimer_frame(potential: Potential, data: Path) -> dict[str, Any]:
    """The (001) 2x1 frame of the training data, relaxed by the model from where DFT left it."""
    frame = next(
        f
        for f in read_dataset(data / "mlearn/Si_train.extxyz")
        if f.group == "Surface" and len(f) == 16 and abs(f.configuration.cell[2]).max() < 22.0
    )
    (relaxed,) = minimise(potential, [frame.configuration], force_tolerance=5e-3, max_steps=500)
    return {
        "dft": {
            **_dimer(frame.configuration),
            "J_per_m2": _gamma(frame.configuration, frame.energy),
        },
        "model": {
            **_dimer(relaxed.configuration),
            "J_per_m2": _gamma(relaxed.configuration, relaxed.energy),
        },
    }


def _gamma(configuration: Configuration, energy: float) -> float:
    """Surface energy of two faces against -5.425 eV/atom, J/m^2."""
    area = float(np.linalg.norm(np.cross(configuration.cell[0], configuration.cell[1])))
    return (energy + 5.425 * len(configuration.numbers)) / (2 * area) * EV_PER_A2_IN_J_PER_M2


def _dimer(configuration: Configuration) -> dict[str, float]:
    """Length and buckling of the top dimer."""
    atoms = to_ase(configuration)
    height = atoms.positions @ np.cross(atoms.cell[0], atoms.cell[1])
    first, second = np.argsort(-height)[:2]
    vector = atoms.get_distance(first, second, mic=True, vector=True)
    normal = np.cross(atoms.cell[0], atoms.cell[1])
    normal /= np.linalg.norm(normal)
    length = float(np.linalg.norm(vector))
    angle = float(np.degrees(np.arcsin(abs(vector @ normal) / length)))
    return {"length_A": length, "buckling_deg": angle}


def castep(folder: Path) -> dict[str, Any]:
    """Reference numbers of the CASTEP files: E(V) per atom, elastic constants, vacancy."""
    curves, plain = {}, {}
    for path in sorted(folder.glob("model-CASTEP_ASE-test-*-properties.json")):
        content = json.loads(path.read_text())
        for key, value in content.items():
            if key.endswith("_E_vs_V"):
                curves[key.removesuffix("_E_vs_V")] = value
            elif isinstance(value, float):
                plain[key] = value
    return {"curves": curves, **plain}


def as_markdown(card: dict[str, Any], reference: dict[str, Any], file: ModelFile) -> str:
    """The card for people."""
    lines = [
        f"# Model `{card['name']}`",
        "",
        f"Committee of {card['members']} neural networks on one learned descriptor, cutoff "
        f"{card['cutoff_A']} A. Licence: {card['licence']}.",
        "",
        "Level of theory: VASP PBE; energies are total energies of the reference's zero "
        "(diamond -5.425 eV/atom).",
        "",
        "## Data",
        *(f"- {d['file']}: {d['train']} frames trained on" for d in card["data"]),
        "",
        "## Errors",
        "| data | structures | energy MAE, meV/atom | force MAE, eV/A | stress MAE, GPa |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, errors in card["errors"].items():
        rows = [(name, errors), *((f"{name}: {g}", e) for g, e in errors["groups"].items())]
        for label, row in rows:
            stress = row["stress_mae_GPa"]
            lines.append(
                f"| {label} | {row['n_structures']} | {row['energy_mae_meV_per_atom']:.2f} "
                f"| {row['force_mae_eV_per_A']:.4f} "
                f"| {'' if stress is None else f'{stress:.2f}'} |"
            )
    bulk_rows = (
        ("lattice constant, A", "a0_A", "diamond_a0"),
        ("bulk modulus, GPa", "bulk_modulus_GPa", "diamond_bulk_modulus"),
        ("C11, GPa", "c11_GPa", "diamond_c11"),
        ("C12, GPa", "c12_GPa", "diamond_c12"),
        ("C44, GPa", "c44_GPa", "diamond_c44"),
    )
    lines += [
        "",
        "## Diamond, beside DFT of another functional (CASTEP PW91, Bartok et al. 2018)",
        "| | model | CASTEP |",
        "| --- | --- | --- |",
        *(f"| {t} | {card['diamond'][m]:.3f} | {reference[r]:.3f} |" for t, m, r in bulk_rows),
        *(
            [f"| vacancy, eV | {card['vacancy_eV']:.2f} | {reference['vacancy_energy']:.2f} |"]
            if "vacancy_eV" in card
            else []
        ),
        "",
        "## Phases",
        "Height of each phase's lowest point of E(V) above diamond's, eV/atom, and its volume,",
        "A^3/atom; the largest deviation over the curve, meV/atom. Whole curves: `silicon.json`.",
        "",
        "| phase | model | CASTEP | V model | V CASTEP | largest deviation |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_phase_row(name, curve) for name, curve in card["phases"].items()),
        "",
        "## Surfaces, unreconstructed",
        "| face | as cut, J/m^2 | relaxed, J/m^2 |",
        "| --- | --- | --- |",
        *(
            f"| ({n}) | {s['as_cut_J_per_m2']:.2f} | {s['relaxed_J_per_m2']:.2f} |"
            for n, s in card.get("surfaces", {}).items()
        ),
        "",
        "The (001) 2x1 frame of the training data (16 atoms), relaxed:",
        "",
        "| | DFT | model |",
        "| --- | --- | --- |",
    ]
    dft, model = card["dimer_row"]["dft"], card["dimer_row"]["model"]
    lines += [
        f"| dimer length, A | {dft['length_A']:.3f} | {model['length_A']:.3f} |",
        f"| buckling, degrees | {dft['buckling_deg']:.1f} | {model['buckling_deg']:.1f} |",
        f"| surface energy, J/m^2 | {dft['J_per_m2']:.3f} | {model['J_per_m2']:.3f} |",
        "",
        "## Do not trust it",
        "- for moduli of strongly compressed or stretched diamond, of which it has seen little:",
        f"  from 6 to 30 A^3/atom P(V) rises {_volumes(card['pressure_rises_A3_per_atom'])};",
        "- where members disagree: ask for the spread, it is there for that;",
        "- on surface reconstructions other than the (001) 2x1 and the faces of the training data",
        "  (twelve surface frames in all);",
        "- for isolated atoms, molecules and clusters, of which it has seen next to none;",
        "- far above 2 eV/atom over diamond: there it is made to be repulsive, not right;",
        "- for charge, spin and anything beyond its cutoff.",
        "",
    ]
    return "\n".join(lines)


def _phase_row(name: str, curve: dict[str, Any]) -> str:
    model, dft = np.array(curve["energy_eV_per_atom"]), np.array(curve["dft_eV_per_atom"])
    volume = np.array(curve["volume_A3_per_atom"])
    worst = 1e3 * np.abs(model - dft).max()
    return (
        f"| {name} | {model.min():.3f} | {dft.min():.3f} "
        f"| {curve['equilibrium_volume_A3_per_atom']:.2f} | {volume[dft.argmin()]:.2f} "
        f"| {worst:.0f} |"
    )


def _volumes(found: list[float]) -> str:
    return f"at {', '.join(map(str, found))} A^3/atom" if found else "nowhere"


if __name__ == "__main__":
    main(*sys.argv[1:])
