"""Surface free energies: exact Stillinger-Weber cuts, tabulated oxygen, crossings by hand."""

import math
import os
import signal
from pathlib import Path

import ase.io
import equinox as eqx
import h5py
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, diamond100, diamond111
from jaxtyping import Float

import thermosearch
from thermosearch.configuration import Array, Configuration, from_ase
from thermosearch.harmonic.isobar import Isobar, Series
from thermosearch.harmonic.summary import _isobar_arrays as isobar_arrays
from thermosearch.launch import load_study
from thermosearch.potentials.einstein import EinsteinCrystal
from thermosearch.potentials.interface import Committee, Neighbours, Potential
from thermosearch.potentials.section import PotentialSection
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.results import Results
from thermosearch.search.surfaces import compute
from thermosearch.search.surfaces.balance import check_vibrations
from thermosearch.search.surfaces.errors import gamma_covariance
from thermosearch.search.surfaces.gamma import (
    Slab,
    above_hull,
    chemical_potentials,
    surface_free_energy,
    transitions,
)
from thermosearch.search.surfaces.gases import gas_free_energy
from thermosearch.search.surfaces.phonons import harmonic_free_energy, mode_energies
from thermosearch.search.surfaces.prepare import prepare
from thermosearch.search.surfaces.reading import (
    composition,
    elements_of,
    read_reservoir,
    read_slab,
)
from thermosearch.search.surfaces.study import SurfaceStudy
from thermosearch.search.surfaces.vibrations import from_harmonic_run
from thermosearch.units import BOLTZMANN_EV_PER_K, EV_PER_A2_IN_J_PER_M2

A0 = 2 ** (1 / 6) * 2.0951 * 4 / math.sqrt(3)
EPSILON = 2.1683


def slab(builder: object, layers: int) -> Atoms:
    atoms = builder("Si", size=(1, 2, layers), a=A0, vacuum=6.0)
    return Atoms(atoms, pbc=(True, True, False), info={})


def run(
    tmp_path: Path,
    slabs: list[dict],
    reservoirs: list[dict] | None = None,
    name: str = "run",
    resume: bool = False,
    **conditions: object,
) -> Results:
    ase.io.write(tmp_path / "bulk.extxyz", bulk("Si", "diamond", A0, cubic=True))
    study = {
        "kind": "surface",
        "potential": {"analytic": "stillinger_weber"},
        "slabs": slabs,
        "reservoirs": reservoirs or [{"file": str(tmp_path / "bulk.extxyz"), "element": "Si"}],
        "conditions": {"range": {"first": -1.0, "last": 0.5, "count": 16}} | conditions,
        "run": {"precision": "float64"},
    }
    return thermosearch.run(study, output=tmp_path / name, resume=resume, quiet=True)


def gamma(results: Results, phase: str, at: float) -> float:
    """In eV a 1x1 cell is for the caller; here J/m^2 to eV/A^2."""
    (found,) = [
        q.value
        for q in results.quantities
        if q.name == "surface_free_energy"
        and q.conditions["phase"] == phase
        and q.conditions["delta_mu_eV"] == at
    ]
    return found / EV_PER_A2_IN_J_PER_M2


def test_cuts_cost_half_an_epsilon_a_bond_on_either_face(tmp_path: Path) -> None:
    # Dangling bonds a 1x1 cell: (100) two, (111) one between bilayers (shuffle), three within
    # (glide). ASE's (111) slab of even layers has two glide faces, of odd ones one of each.
    for name, builder, layers in (
        ("100", diamond100, 8),
        ("glide", diamond111, 8),
        ("mixed", diamond111, 9),
    ):
        ase.io.write(tmp_path / f"{name}.extxyz", slab(builder, layers))
    ase.io.write(tmp_path / "three.extxyz", slab(diamond111, 8).repeat((3, 1, 1)))
    results = run(
        tmp_path,
        [
            {"label": "100", "file": str(tmp_path / "100.extxyz")},
            {"label": "glide", "file": str(tmp_path / "glide.extxyz")},
            {
                "label": "shuffle",
                "file": str(tmp_path / "mixed.extxyz"),
                "other_face": str(tmp_path / "glide.extxyz"),
            },
            {
                "label": "shuffle by a wider cell",
                "file": str(tmp_path / "mixed.extxyz"),
                "other_face": str(tmp_path / "three.extxyz"),
            },
        ],
        range={"first": 0.0, "last": 0.5, "count": 11},
    )
    square, triangle = A0**2 / 2, A0**2 * math.sqrt(3) / 4
    assert gamma(results, "100", 0.0) * square == pytest.approx(EPSILON, abs=1e-4)
    assert gamma(results, "shuffle", 0.0) * triangle == pytest.approx(EPSILON / 2, abs=1e-4)
    wider = gamma(results, "shuffle by a wider cell", 0.0)
    assert wider == pytest.approx(gamma(results, "shuffle", 0.0), rel=1e-9)
    assert gamma(results, "glide", 0.0) * triangle == pytest.approx(1.5 * EPSILON, abs=1e-4)


@pytest.mark.parametrize("moment", [1, 3])
def test_a_stopped_study_goes_on_with_the_structures_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    done: list[str] = []
    one_by_one = compute._compute

    def told(potential: Potential, structure: compute.Structure) -> compute.Computed:
        found = one_by_one(potential, structure)
        done.append(structure.label)
        if len(done) == moment:
            os.kill(os.getpid(), signal.SIGTERM)
        return found

    upper = slab(diamond111, 9)
    upper.arrays["frozen"] = np.arange(len(upper)) < 10
    for name, atoms in (("glide", slab(diamond111, 8)), ("mixed", upper)):
        ase.io.write(tmp_path / f"{name}.extxyz", atoms)
    files = {name: str(tmp_path / f"{name}.extxyz") for name in ("bulk", "glide", "mixed")}
    slabs = [
        {"label": "glide", "file": files["glide"]},
        {
            "label": "shuffle",
            "file": files["mixed"],
            "other_face": files["glide"],
            "relax": True,
            "vibrations": "phonons",
        },
    ]
    reservoirs = [{"file": files["bulk"], "element": "Si", "vibrations": "phonons"}]
    whole = run(tmp_path, slabs, reservoirs, name="whole")
    monkeypatch.setattr(compute, "_compute", told)
    assert run(tmp_path, slabs, reservoirs).status == "stopped"
    assert done == ["slabs: glide", "slabs: shuffle", "slabs: shuffle: other_face"][:moment]
    resumed = run(tmp_path, slabs, reservoirs, resume=True)
    assert len(done) == 4, "each once: two slabs, the other face, the crystal"
    assert [*resumed.quantities] == [*whole.quantities]
    with h5py.File(tmp_path / "run/results.h5") as a, h5py.File(tmp_path / "whole/results.h5") as b:
        for k in range(2):
            curve = f"surface_diagram/{k:02d}/gamma"
            np.testing.assert_array_equal(a[curve][()], b[curve][()])


def test_an_adatom_pays_from_where_its_energy_is_matched(tmp_path: Path) -> None:
    clean = slab(diamond111, 8)[2:-2]
    covered = clean.copy()
    covered += Atoms("Si", positions=[clean.positions[-1] + [0.0, 0.0, A0 * math.sqrt(3) / 4]])
    for name, atoms in (("clean", clean), ("covered", covered)):
        ase.io.write(tmp_path / f"{name}.extxyz", atoms)
    results = run(
        tmp_path,
        [
            {"label": "clean", "file": str(tmp_path / "clean.extxyz")},
            {
                "label": "covered",
                "file": str(tmp_path / "covered.extxyz"),
                "other_face": str(tmp_path / "clean.extxyz"),
                "energy_error": 0.02,
            },
        ],
        range={"first": -6.0, "last": 6.0, "count": 25},
    )
    # One atom more on two 1x1 cells, bonded once: E rises by -epsilon + half a bond less.
    (transition,) = [q for q in results.quantities if q.name == "transition_chemical_potential"]
    assert (transition.conditions["below"], transition.conditions["above"]) == ("clean", "covered")
    difference = gamma(results, "covered", -6.0) - gamma(results, "clean", -6.0)
    area = A0**2 * math.sqrt(3) / 2
    assert transition.value == pytest.approx(difference * area - 6.0, abs=1e-9)
    # It wins one bond of the two that an atom has in the bulk.
    assert transition.value == pytest.approx(EPSILON, abs=1e-3)
    assert transition.error == pytest.approx(0.02, rel=1e-6)


def test_oxygen_is_that_of_the_table() -> None:
    # Reuter and Scheffler, Phys. Rev. B 65, 035406 (2001), table II: 1 atm, eV an atom.
    table = {100: -0.08, 300: -0.27, 500: -0.50, 700: -0.73, 1000: -1.10}
    for temperature, potential in table.items():
        found = 0.5 * gas_free_energy("O2", float(temperature), 1.01325)
        assert found == pytest.approx(potential, abs=0.011)
    # Counted from 0 K, at any pressure.
    assert gas_free_energy("O2", 0.0, 10.0) == 0.0
    assert gas_free_energy("O2", 5.0, 10.0) == pytest.approx(0.0, abs=5e-3)
    # Ten times the pressure: k T ln 10 a molecule.
    gain = gas_free_energy("O2", 600.0, 10.0) - gas_free_energy("O2", 600.0, 1.0)
    assert gain == pytest.approx(BOLTZMANN_EV_PER_K * 600.0 * math.log(10.0), rel=1e-9)


def test_an_oxide_and_its_gas_fix_both_potentials() -> None:
    # TiO2 with g = -27, O2 with g = -10: mu_O = -5, mu_Ti = -17.
    found = chemical_potentials(np.array([[2.0, 1.0], [2.0, 0.0]]), np.array([-27.0, -10.0]))
    np.testing.assert_allclose(found, [-5.0, -17.0])
    with pytest.raises(InputError, match="2 phases for 2 elements"):
        chemical_potentials(np.array([[2.0, 1.0], [4.0, 2.0]]), np.array([-27.0, -54.0]))


def test_a_symmetric_slab_shares_its_excess_between_its_faces() -> None:
    slab = Slab(np.array([4, 3]), 10.0, -50.0, 0.0)
    assert surface_free_energy(slab, np.array([-5.0, -12.0]), 1.0) == pytest.approx(7.0 / 20.0)


def test_crossings_and_their_errors() -> None:
    axis = np.linspace(0.0, 2.0, 9)
    gammas = np.stack([1.0 + 0.0 * axis, 1.55 - 0.5 * axis, 2.0 + axis])
    covariance = np.diag([0.03, 0.04, 0.0]) ** 2
    (found,) = transitions(axis, gammas, covariance)
    assert (found.below, found.above) == (0, 1)
    assert found.position == pytest.approx(1.1)
    assert found.error == pytest.approx(0.05 / 0.5)
    covariance[0, 1] = covariance[1, 0] = 0.03 * 0.04
    (found,) = transitions(axis, gammas, covariance)
    assert found.error == pytest.approx(0.01 / 0.5)


class Scaled(Committee):
    """Stillinger-Weber with its energy scaled by each member: every gamma scales alike."""

    base: StillingerWeber
    scales: tuple[float, ...] = eqx.field(static=True)

    @property
    def cutoff(self) -> float:
        return self.base.cutoff

    @property
    def elements(self) -> tuple[int, ...]:
        return self.base.elements

    @property
    def units(self) -> str:
        return "eV"

    @property
    def members(self) -> int:
        return len(self.scales)

    def member_energies(
        self, configuration: Configuration, neighbours: Neighbours
    ) -> Float[Array, " members"]:
        return self.base.energy(configuration, neighbours) * jnp.array(self.scales)

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        return jnp.mean(self.member_energies(configuration, neighbours))


def test_what_members_differ_by_in_the_bulk_cancels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales = (0.97, 1.01, 1.02)
    committee = Scaled(StillingerWeber(), scales)
    monkeypatch.setattr(PotentialSection, "build", lambda section, precision=None: committee)
    ase.io.write(tmp_path / "100.extxyz", slab(diamond100, 8))
    ase.io.write(tmp_path / "glide.extxyz", slab(diamond111, 8))
    labels = ("100", "glide")
    entries = [{"label": name, "file": str(tmp_path / f"{name}.extxyz")} for name in labels]
    results = run(tmp_path, entries, range={"first": 0.0, "last": 1.0, "count": 3})
    found = [q for q in results.quantities if q.name == "surface_free_energy"][:2]
    for each in found:
        assert each.error == pytest.approx(np.std(scales, ddof=1) * each.value, rel=1e-3)


def test_a_reservoir_moves_all_slabs_that_hold_its_element() -> None:
    # Both faces of 10 A^2, four and two atoms too many: gamma follows -n / 20 of an atom's energy.
    slabs = [
        Slab(np.array([4]), 10.0, 0.0, 0.3),
        Slab(np.array([2]), 10.0, 0.0, 0.0),
    ]
    found = gamma_covariance(slabs, np.array([[1.0]]), np.array([0.1]), np.zeros((1, 0)))
    shared = np.outer([-0.2, -0.1], [-0.2, -0.1]) * 0.01
    np.testing.assert_allclose(found, shared + np.diag([(0.3 / 20.0) ** 2, 0.0]))


@pytest.fixture
def harmonic_run(tmp_path: Path) -> Path:
    """What a harmonic run of a crystal leaves, with free energies stated here."""
    temperature = np.array([100.0, 300.0, 500.0])
    series = {"free_energy": Series(np.array([-4.30, -4.31, -4.34]), None, "eV/atom")}
    isobar = Isobar("diamond", None, "harmonic", temperature, series)
    folder = tmp_path / "harmonic"
    folder.mkdir()
    with h5py.File(folder / "results.h5", "w") as file:
        for name, value in isobar_arrays("diamond", isobar).items():
            file[name] = value
    return folder


def test_free_energies_of_a_harmonic_run(harmonic_run: Path) -> None:
    table = from_harmonic_run(harmonic_run, None, -8.0 * 4.3366, 8)
    assert table.free_energy(400.0) == pytest.approx(8 * (4.3366 - 4.325))
    with pytest.raises(InputError, match="from 100 to 500 K, not at 900 K"):
        table.free_energy(900.0)
    with pytest.raises(InputError, match="it holds diamond"):
        from_harmonic_run(harmonic_run, "hexagonal", -8.0 * 4.3366, 8)
    with pytest.raises(InputError, match="another potential"):
        from_harmonic_run(harmonic_run, None, -8.0 * 5.4, 8)
    with pytest.raises(InputError, match="no finished harmonic run"):
        from_harmonic_run(harmonic_run.parent, None, -8.0, 8)


def test_slab_and_crystal_take_their_free_energies_from_harmonic_runs(
    harmonic_run: Path, tmp_path: Path
) -> None:
    ase.io.write(tmp_path / "100.extxyz", slab(diamond100, 16))
    entry = {"label": "100", "file": str(tmp_path / "100.extxyz")}
    still = gamma(run(tmp_path, [entry]), "100", -1.0)
    crystal = {
        "file": str(tmp_path / "bulk.extxyz"),
        "element": "Si",
        "harmonic": str(harmonic_run),
    }
    warm = run(tmp_path, [entry], reservoirs=[crystal], name="warm")
    # Atoms of a slab without vibrations vibrate as the crystal's do.
    assert gamma(warm, "100", -1.0) == pytest.approx(still, rel=1e-12)
    entry["harmonic"] = str(harmonic_run)
    both = run(tmp_path, [entry], reservoirs=[crystal], name="both")
    # 32 atoms of the free energy of the crystal's, at 1 eV less each.
    assert gamma(both, "100", -1.0) == pytest.approx(32.0 / (2.0 * A0**2), rel=1e-12)
    with pytest.raises(InputError, match="its lower face vibrates"):
        run(tmp_path, [entry | {"other_face": entry["file"]}], reservoirs=[crystal], name="other")


def test_the_hull_keeps_what_some_potential_makes_stable() -> None:
    excess = np.array([0.0, 1.0, 2.0, 1.0])
    gammas = np.array([1.0, 0.7, 0.8, 1.2])
    np.testing.assert_allclose(above_hull(excess, gammas), [0.0, 0.0, 0.0, 0.5])
    raised = np.array([1.0, 0.95, 0.8, 1.2])
    np.testing.assert_allclose(above_hull(excess, raised), [0.0, 0.05, 0.0, 0.3])


def test_vibrations_of_an_einstein_crystal() -> None:
    crystal = from_ase(bulk("Si", "diamond", A0, cubic=True))
    potential = EinsteinCrystal(np.asarray(crystal.positions), spring=3.0, units="eV")
    mobile = np.arange(8) < 3
    energies = mode_energies(potential, crystal, np.full(8, 28.085), mobile)
    # h-bar sqrt(k / m): 64.654 meV for 1 eV/A^2 and 1 amu (CODATA).
    np.testing.assert_allclose(energies, 0.0646541 * math.sqrt(3.0 / 28.085), rtol=1e-4)
    assert len(energies) == 9
    cold = harmonic_free_energy(energies, 1.0)
    assert cold == pytest.approx(0.5 * energies.sum(), rel=1e-9)
    thermal = BOLTZMANN_EV_PER_K * 5000.0
    assert harmonic_free_energy(energies, 0.0) == 0.5 * energies.sum()
    heavy = mode_energies(potential, crystal, np.full(8, 4 * 28.085), mobile)
    np.testing.assert_allclose(heavy, energies / 2.0, rtol=1e-12)
    hot = harmonic_free_energy(energies, 5000.0)
    assert hot == pytest.approx(thermal * np.log(energies / thermal).sum(), rel=1e-3)


def test_wrong_reservoirs_are_named(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "slab.extxyz", slab(diamond100, 4))
    entry = {"label": "a", "file": str(tmp_path / "slab.extxyz")}
    with pytest.raises(InputError, match="every label may be used once"):
        run(tmp_path, [entry, entry])
    with pytest.raises(InputError, match="needs one reservoir with `element`"):
        run(tmp_path, [entry], axis="temperature")


@pytest.mark.parametrize(
    ("reservoirs", "match"),
    [
        ([{"gas": "O2", "energy": -9.9}], "O2: no slab holds O"),
        ([{"file": "oxide"}], "oxide.extxyz: no slab holds O"),
        ([{"element": "Si", "file": "oxide"}], "holds OSi, not Si alone"),
        ([{"element": "Ge", "energy": -4.0}], "Ge: no slab holds Ge"),
        ([{"gas": "H2", "file": "oxide"}], "holds OSi, not one molecule of H2"),
        ([{"file": "bulk"}, {"file": "bulk"}], "2 phases for 1 elements"),
        ([{"gas": "O2", "file": "oxide", "vibrations": "phonons"}], "only a crystal in `file`"),
        ([{"element": "Si", "energy": -4.0, "vibrations": "phonons"}], "only a crystal in `file`"),
        ([{"element": "O", "gas": "O2", "energy": -9.9}], "give either gas or element"),
        ([{"file": "bulk"}], None),
    ],
)
def test_foreign_reservoirs_are_refused_before_anything_runs(
    tmp_path: Path, reservoirs: list[dict], match: str | None
) -> None:
    ase.io.write(tmp_path / "slab.extxyz", slab(diamond100, 4))
    ase.io.write(tmp_path / "bulk.extxyz", bulk("Si", "diamond", A0))
    ase.io.write(tmp_path / "oxide.extxyz", bulk("SiO", "rocksalt", 4.3))
    given = [
        each | ({"file": str(tmp_path / f"{each['file']}.extxyz")} if "file" in each else {})
        for each in reservoirs
    ]
    free = any("element" in each for each in given)
    study = {
        "kind": "surface",
        "potential": {"analytic": "stillinger_weber"},
        "slabs": [{"label": "a", "file": str(tmp_path / "slab.extxyz")}],
        "reservoirs": given,
        "conditions": {
            "axis": "chemical_potential" if free else "temperature",
            "range": {"first": 0.0, "last": 100.0, "count": 2},
        },
    }

    def check_it() -> None:
        prepare(load_study(study)[0])

    if match is None:
        check_it()
    else:
        with pytest.raises(InputError, match=match):
            check_it()


def test_what_has_no_surface_free_energy_in_joules(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "slab.extxyz", slab(diamond100, 4))
    entry = {"label": "a", "file": str(tmp_path / "slab.extxyz")}
    strained = slab(diamond100, 4)
    strained.set_cell(strained.cell[:] * 1.01, scale_atoms=True)
    ase.io.write(tmp_path / "strained.extxyz", strained)
    with pytest.raises(InputError, match=r"other_face: its cell of .* whole surface"):
        run(tmp_path, [entry | {"other_face": str(tmp_path / "strained.extxyz")}])
    with pytest.raises(InputError, match="temperatures begin at 0 K"):
        run(
            tmp_path,
            [entry],
            [{"file": str(tmp_path / "bulk.extxyz")}],
            axis="temperature",
            range={"first": -1.0, "last": 100.0},
        )
    reduced = {
        "kind": "surface",
        "potential": {"analytic": "lennard_jones", "parameters": {"cutoff": 2.5}},
        "slabs": [entry],
        "reservoirs": [{"element": "Si", "energy": 0.0}],
        "conditions": {"range": {"first": -1.0, "last": 0.0}},
    }
    with pytest.raises(InputError, match="potential: it is in reduced units"):
        thermosearch.run(reduced, output=tmp_path / "reduced", quiet=True)


class Springs(Potential):
    """Atoms on the sites of a cubic lattice, -1 eV each; of the topmost layer 0.4 eV less.

    Their springs are independent, softer at the top: every vibrational free energy is a sum
    over atoms.
    """

    spacing: float = eqx.field(static=True)
    top: float = eqx.field(static=True)
    bulk: float = 4.0
    surface: float = 1.0

    @property
    def cutoff(self) -> None:
        return None

    @property
    def elements(self) -> None:
        return None

    @property
    def units(self) -> str:
        return "eV"

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        positions = configuration.positions
        away = positions - self.spacing * jnp.round(positions / self.spacing)
        above = positions[:, 2] > self.top
        spring = jnp.where(above, self.surface, self.bulk)
        each = 0.5 * spring * jnp.sum(away**2, axis=1) - jnp.where(above, 0.6, 1.0)
        return jnp.sum(jnp.where(configuration.numbers > 0, each, 0.0))


@pytest.mark.parametrize("axis", ["temperature", "chemical_potential"])
def test_frozen_layers_and_the_other_face_vibrate_as_in_the_crystal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, axis: str
) -> None:
    springs = Springs(spacing=3.0, top=13.0)
    monkeypatch.setattr(PotentialSection, "build", lambda section, precision=None: springs)
    crystal = bulk("Cu", "sc", 3.0).repeat((2, 1, 1))
    searched = bulk("Cu", "sc", 3.0).repeat((2, 1, 6))
    searched.pbc = (True, True, False)
    # As cut, nothing costs anything; of one surface cell where the slab has two.
    cut = bulk("Cu", "sc", 3.0).repeat((1, 1, 4))
    cut.pbc = (True, True, False)
    ase.io.write(tmp_path / "crystal.extxyz", crystal)
    ase.io.write(tmp_path / "cut.extxyz", cut)
    entries = []
    for layers in (1, 3, 5):
        searched.arrays["frozen"] = searched.positions[:, 2] < 3.0 * layers - 1.0
        path = tmp_path / f"{layers}.extxyz"
        ase.io.write(path, searched)
        entries.append(
            {
                "label": str(layers),
                "file": str(path),
                "other_face": str(tmp_path / "cut.extxyz"),
                "vibrations": "phonons",
            }
        )
    reservoir = {"file": str(tmp_path / "crystal.extxyz"), "vibrations": "phonons"}
    if axis == "chemical_potential":
        reservoir["element"] = "Cu"
    at = {"temperature": 700.0, "chemical_potential": 0.0}[axis]
    study = {
        "kind": "surface",
        "potential": {"analytic": "lennard_jones"},
        "slabs": entries,
        "reservoirs": [reservoir],
        "conditions": {
            "axis": axis,
            "range": {"first": at, "last": at, "count": 1},
            "temperature": 700.0,
        },
    }
    results = thermosearch.run(study, output=tmp_path / "run", quiet=True)
    # Two atoms of 18 A^2: h-bar sqrt(k / m), m = 63.546 amu.
    soft, hard = (
        harmonic_free_energy(np.full(3, 0.0646541 * math.sqrt(k / 63.546)), 700.0)
        for k in (springs.surface, springs.bulk)
    )
    found = [q.value for q in results.quantities if q.name == "surface_free_energy"]
    expected = (2 * 0.4 + 2 * (soft - hard)) / 18.0 * EV_PER_A2_IN_J_PER_M2
    np.testing.assert_allclose(found, np.full(3, expected), rtol=1e-4)


OXIDE = {"label": "a", "vibrations": "phonons", "frozen": 6}
"""A slab of six pairs Mg, O, one above the other, with an O on top."""


@pytest.mark.parametrize(
    ("slab_", "reservoirs", "match"),
    [
        ({}, ["crystal", "gas"], "come from .*crystal.extxyz, which does not"),
        ({}, ["phonons", "gas"], None),
        ({"frozen": 12}, ["crystal", "gas"], None),
        ({"frozen": 5}, ["phonons", "gas"], "frozen atoms come from O2"),
        ({"frozen": 5}, ["phonons", "free"], "frozen atoms come from O,"),
        ({"frozen": 13}, ["phonons", "gas"], "none vibrates"),
        ({"frozen": 0}, ["phonons", "gas"], "its lower face vibrates"),
        ({"other_face": None}, ["phonons", "gas"], "they are not alike"),
        ({"vibrations": "none"}, ["crystal", "gas"], None),
    ],
)
def test_vibrations_that_nothing_balances_are_refused(
    tmp_path: Path, slab_: dict, reservoirs: list[str], match: str | None
) -> None:
    given = OXIDE | {"other_face": str(tmp_path / "cut.extxyz")} | slab_
    cut = Atoms("MgO" * 6, cell=[3, 3, 30], pbc=(True, True, False))
    cut.positions[:, 2] = np.repeat(2.0 * np.arange(6), 2)
    cut.positions[1::2, :2] = 1.5
    covered = cut + Atoms("O", positions=[[0.0, 0.0, 12.0]])
    covered.arrays["frozen"] = np.arange(13) < given.pop("frozen")
    for name, atoms in (("cut", cut), ("covered", covered), ("crystal", cut[:2])):
        ase.io.write(tmp_path / f"{name}.extxyz", atoms)
    crystal = {"file": str(tmp_path / "crystal.extxyz")}
    entries = {
        "crystal": crystal,
        "phonons": crystal | {"vibrations": "phonons"},
        "gas": {"gas": "O2", "energy": -9.0},
        "free": {"element": "O", "energy": -4.5},
    }
    study = SurfaceStudy.model_validate(
        {
            "potential": {"analytic": "lennard_jones", "parameters": {"cutoff": 2.5}},
            "slabs": [given | {"file": str(tmp_path / "covered.extxyz")}],
            "reservoirs": [entries[name] for name in reservoirs],
            "conditions": {
                "axis": "chemical_potential" if "free" in reservoirs else "temperature",
                "range": {"first": 0.0, "last": 0.0, "count": 1},
            },
        }
    )
    (slab,) = (read_slab(each) for each in study.slabs)
    elements = elements_of([slab])
    held = [composition(elements, read_reservoir(each)) for each in study.reservoirs]
    compositions = np.stack(held)

    def check_it() -> None:
        check_vibrations(slab.entry, slab.atoms, elements, study.reservoirs, compositions)

    if match is None:
        check_it()
    else:
        with pytest.raises(InputError, match=match):
            check_it()
