"""Founder, roles, scrambling, and the vector the strategy works on."""

from pathlib import Path
from tempfile import TemporaryDirectory

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, diamond100
from hypothesis import given, settings
from hypothesis import strategies as st

from thermosearch.runtime.errors import InputError
from thermosearch.search.degrees_of_freedom import (
    make_degrees_of_freedom,
    nearest_distance,
    repaired,
)
from thermosearch.search.founder import FROZEN, MOVED, RELAXED, Founder, make_founder, scrambled
from thermosearch.search.placement import random_start
from thermosearch.search.problem import make_problem
from thermosearch.search.study import MethodSection, SearchStudy
from thermosearch.search.system_section import SystemSection
from thermosearch.structure.surface import heights


def slab(
    moved: int = 2, relaxed: int = 3, layers: int = 8, repeat: tuple[int, int] = (2, 2)
) -> Founder:
    section = {"layers": 8, "repeat": repeat}
    system = SystemSection.model_validate(
        {"moved_layers": moved, "relaxed_layers": relaxed, "slab": section}
    )
    return make_founder(system, 5.43)


def test_roles_follow_the_layers() -> None:
    founder = slab()
    assert [int((founder.role == role).sum()) for role in (MOVED, RELAXED, FROZEN)] == [8, 12, 12]
    height = heights(founder.configuration)
    assert height[founder.role == MOVED].min() > height[founder.role == RELAXED].max()
    assert height[founder.role == RELAXED].min() > height[founder.role == FROZEN].max()
    assert not founder.mobile[founder.role == FROZEN].any()


def test_the_slab_is_cut_from_the_bulk() -> None:
    founder = slab()
    cell = np.asarray(founder.configuration.cell)
    np.testing.assert_allclose(np.linalg.norm(cell[:2], axis=1), 2 * 5.43 / np.sqrt(2.0))
    assert founder.configuration.pbc.tolist() == [True, True, False]
    assert np.ptp(heights(founder.configuration)) == pytest.approx(7 * 5.43 / 4)


def test_scrambling_moves_only_moved_atoms_within_its_radius() -> None:
    founder = slab()
    first = scrambled(founder, 0.8, np.random.default_rng(1))
    shift = np.linalg.norm(first - founder.configuration.positions, axis=1)
    assert np.all(shift[founder.role != MOVED] == 0.0)
    assert np.all(shift[founder.moved] <= 0.8 + 1e-12)
    assert shift[founder.moved].max() > 0.4
    assert not np.array_equal(first, scrambled(founder, 0.8, np.random.default_rng(2)))
    np.testing.assert_array_equal(first, scrambled(founder, 0.8, np.random.default_rng(1)))


def test_scrambling_fills_the_ball_evenly() -> None:
    founder = slab(moved=7, relaxed=0, repeat=(6, 6))
    shift = scrambled(founder, 1.0, np.random.default_rng(5)) - founder.configuration.positions
    cubes = np.linalg.norm(shift[founder.moved], axis=1) ** 3
    # |u|^3 is uniform on (0, 1); Kolmogorov-Smirnov at 252 points, 1 in 1000 beyond 0.12.
    gap = np.abs(np.sort(cubes) - np.linspace(0, 1, len(cubes))).max()
    assert gap < 0.12
    assert np.abs(shift[founder.moved].mean(axis=0)).max() < 4 * np.sqrt(0.2 / 252)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_vector_and_positions_are_inverse_inside_the_window(seed: int) -> None:
    founder = slab()
    freedom = make_degrees_of_freedom(founder, 3.0, (1.0, 2.0))
    vector = np.random.default_rng(seed).uniform(-0.5, 0.5, freedom.size)
    np.testing.assert_allclose(freedom.vector(freedom.positions(vector)), vector, atol=1e-12)


def test_the_scale_falls_with_depth() -> None:
    freedom = make_degrees_of_freedom(slab(), 3.0, (1.0, 2.0))
    assert freedom.scale.max() == 1.0
    np.testing.assert_allclose(freedom.scale.min(), np.exp(-5.43 / 4 / 3.0), rtol=1e-9)
    assert np.all(make_degrees_of_freedom(slab(), None, (1.0, 2.0)).scale == 1.0)


def test_moved_atoms_stay_in_the_window_and_others_where_they_are() -> None:
    founder = slab()
    freedom = make_degrees_of_freedom(founder, None, (0.5, 1.0))
    positions = freedom.positions(np.full(freedom.size, 9.0))
    height = positions[:, 2]
    top = founder.configuration.positions[:, 2].max()
    np.testing.assert_allclose(height[founder.moved].max(), top + 1.0)
    others = founder.role != MOVED
    np.testing.assert_array_equal(positions[others], founder.configuration.positions[others])
    assert freedom.escaped(positions + np.array([0.0, 0.0, 0.6]))
    assert not freedom.escaped(positions)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_repair_opens_every_short_distance(seed: int) -> None:
    founder = slab(moved=1)
    freedom = make_degrees_of_freedom(founder, None, (1.0, 2.0))
    start = freedom.positions(np.random.default_rng(seed).normal(scale=0.8, size=freedom.size))
    mended, done = repaired(freedom, start, 1.6)
    assert done == (nearest_distance(freedom, mended) >= 1.6)
    assert done, "four atoms on a 2x2 surface have room"
    others = founder.role != MOVED
    np.testing.assert_array_equal(mended[others], start[others])


def test_repair_leaves_good_positions_alone_and_parts_atoms_on_one_spot() -> None:
    founder = slab(moved=1)
    freedom = make_degrees_of_freedom(founder, None, (1.0, 2.0))
    good = np.array(founder.configuration.positions)
    np.testing.assert_array_equal(repaired(freedom, good, 1.6)[0], good)
    good[founder.moved[0]] = good[founder.moved[1]]
    mended, done = repaired(freedom, good, 1.6)
    assert done == (nearest_distance(freedom, mended) >= 1.6)
    assert np.isfinite(mended).all()


def test_repair_says_when_there_is_no_room() -> None:
    founder = slab(moved=1)
    freedom = make_degrees_of_freedom(founder, None, (0.0, 0.0))
    positions = np.array(founder.configuration.positions)
    assert not repaired(freedom, positions, 5.0)[1]


def test_a_founder_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "slab.extxyz"
    atoms = Atoms(diamond100("Si", (2, 1, 8), a=5.43, vacuum=6.0), info={})
    ase.io.write(path, atoms)
    system = SystemSection.model_validate({"founder": str(path), "relaxed_layers": 3})
    founder = make_founder(system, None)
    np.testing.assert_allclose(founder.configuration.positions, atoms.positions, atol=1e-7)


def test_a_cut_from_a_relaxed_bulk(tmp_path: Path) -> None:
    path = tmp_path / "bulk.extxyz"
    atoms = Atoms(bulk("Si", "diamond", 5.30, cubic=True), info={})
    atoms.set_cell([5.25, 5.40, 5.35], scale_atoms=True)
    ase.io.write(path, atoms)
    cut = {"bulk": str(path), "miller": [1, 0, 0], "layers": 2, "relax": True}
    study = {
        "potential": {"analytic": "stillinger_weber"},
        "system": {"cut": cut, "moved_layers": 1, "relaxed_layers": 3},
    }
    founder = make_problem(SearchStudy.model_validate(study)).founder
    # Stillinger-Weber's own lattice parameter: bonds of 2^(1/6) sigma, sigma = 2.0951 A.
    expected = 2 ** (1 / 6) * 2.0951 * 4 / np.sqrt(3)
    lengths = np.linalg.norm(np.asarray(founder.configuration.cell)[:2], axis=1)
    np.testing.assert_allclose(lengths, expected, rtol=2e-4)


def refused(system: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        make_founder(SystemSection.model_validate(system), 5.43)


def test_nothing_left_frozen() -> None:
    refused({"moved_layers": 2, "relaxed_layers": 6, "slab": {"layers": 8}}, "leaves none frozen")


def test_overlapping_atoms(tmp_path: Path) -> None:
    path = tmp_path / "slab.extxyz"
    atoms = Atoms(diamond100("Si", (2, 1, 8), a=5.43, vacuum=6.0), info={})
    atoms.positions[3] = atoms.positions[2] + 0.1
    ase.io.write(path, atoms)
    refused({"founder": str(path)}, "overlap")


def test_a_file_that_is_no_structure(tmp_path: Path) -> None:
    path = tmp_path / "slab.extxyz"
    path.write_text("three\nnot a structure\n")
    refused({"founder": str(path)}, "slab.extxyz cannot be read")


def cluster(**changes: object) -> Founder:
    section = {"composition": {"Ar": 9}, "radius": 2.2} | changes
    return make_founder(SystemSection.model_validate({"cluster": section}), None)


METHOD = MethodSection(minimum_distance=0.8)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_atoms_of_a_cluster_are_placed_apart_inside_their_ball(seed: int) -> None:
    founder = cluster()
    freedom = make_degrees_of_freedom(founder, None, (1.0, 1.0))
    start = random_start(founder, freedom, METHOD, np.random.default_rng(seed))
    assert nearest_distance(freedom, start) >= 0.8
    assert not freedom.escaped(start, tolerance=1e-6)
    np.testing.assert_allclose(start.mean(axis=0), 0.0, atol=1e-9)


def test_atoms_of_a_crystal_know_their_images() -> None:
    section = {"composition": {"Si": 4}, "cell": [[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]]}
    founder = make_founder(SystemSection.model_validate({"crystal": section}), None)
    freedom = make_degrees_of_freedom(founder, None, (1.0, 1.0))
    method = MethodSection(minimum_distance=1.5)
    start = random_start(founder, freedom, method, np.random.default_rng(2))
    assert nearest_distance(freedom, start) >= 1.5
    assert not freedom.escaped(start + 100.0)


def test_an_overlayer_is_put_on_the_slab_at_random() -> None:
    system = SystemSection.model_validate(
        {
            "slab": {"layers": 8},
            "moved_layers": 0,
            "relaxed_layers": 3,
            "overlayer": {"composition": {"Ge": 3}, "remove_layers": 1},
        }
    )
    founder = make_founder(system, 5.43)
    numbers = founder.configuration.numbers
    assert len(numbers) == 7 * 4 + 3
    assert numbers[-3:].tolist() == [32, 32, 32]
    assert founder.moved.tolist() == [28, 29, 30]
    freedom = make_degrees_of_freedom(founder, None, (1.0, 2.0))
    method = MethodSection(minimum_distance=1.6)
    starts = [
        random_start(founder, freedom, method, np.random.default_rng(seed)) for seed in (1, 2)
    ]
    assert not np.allclose(starts[0][-3:], starts[1][-3:])
    for start in starts:
        assert nearest_distance(freedom, start) >= 1.6
        np.testing.assert_array_equal(start[:-3], founder.configuration.positions[:-3])


@pytest.mark.parametrize("thickness", [1.5, 4.0])
def test_an_overlayer_begins_within_its_thickness_on_top_of_the_moved_layers(
    thickness: float,
) -> None:
    overlayer = {"composition": {"Ge": 2}, "thickness": thickness}
    slab_ = {"slab": {"layers": 8}, "relaxed_layers": 3}
    system = SystemSection.model_validate(slab_ | {"overlayer": overlayer})
    founder, bare = (
        make_founder(system, 5.43),
        make_founder(SystemSection.model_validate(slab_), 5.43),
    )
    # Layers are those of the slab alone.
    assert founder.role.tolist() == [*bare.role.tolist(), MOVED, MOVED]
    top = heights(bare.configuration).max()
    freedom = make_degrees_of_freedom(founder, None, (1.0, 0.5))
    assert freedom.region.highest == pytest.approx(top + thickness + 0.5)
    method = MethodSection(minimum_distance=0.0)
    drawn = np.array(
        [
            random_start(founder, freedom, method, np.random.default_rng(seed))[-2:, 2] - top
            for seed in range(40)
        ]
    )
    assert drawn.min() >= 0.0
    assert drawn.max() <= thickness
    assert np.ptp(drawn) > 0.8 * thickness
    with pytest.raises(ValueError, match="without an overlayer"):
        SystemSection.model_validate(slab_ | {"moved_layers": 0})


def particle(tmp_path: Path, **changes: object) -> Founder:
    """A ball of a cubic lattice, 33 atoms, without a cell; the outer ones are moved."""
    grid = np.stack(np.meshgrid(*3 * [np.arange(-2.0, 3.0)]), axis=-1).reshape(-1, 3)
    ball = 3.0 * grid[np.linalg.norm(grid, axis=1) < 2.1] + 7.0
    path = tmp_path / "particle.xyz"
    ase.io.write(path, Atoms(f"Cu{len(ball)}", positions=ball))
    system = {"founder": str(path), "moved": {"radius": 5.5}} | changes
    return make_founder(SystemSection.model_validate(system), None)


def test_a_particle_is_no_slab_and_its_atoms_stay_in_a_shell(tmp_path: Path) -> None:
    founder = particle(tmp_path)
    assert not founder.is_slab
    assert len(founder.moved) == 6
    freedom = make_degrees_of_freedom(founder, 4.0, (1.0, 2.0))
    assert np.all(freedom.scale == 1.0)
    for seed in range(10):
        generator = np.random.default_rng(seed)
        positions = freedom.positions(generator.normal(scale=5.0, size=freedom.size))
        distance = np.linalg.norm(positions[founder.moved] - 7.0, axis=1)
        assert 5.0 - 1e-9 <= distance.min() <= distance.max() <= 8.0 + 1e-9
    start = random_start(founder, freedom, MethodSection(scramble=0.5), np.random.default_rng(1))
    shift = np.linalg.norm(start - founder.configuration.positions, axis=1)
    assert 0.0 < shift.max() <= 0.5
    cubed = np.linalg.norm(freedom.region.draw(4000, np.random.default_rng(2)) - 7.0, axis=1) ** 3
    # Evenly by volume between 5 and 8 A.
    assert cubed.mean() == pytest.approx((5.0**3 + 8.0**3) / 2.0, rel=0.02)
    assert freedom.escaped(start + np.array([3.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    "changes", [{"moved": None}, {"moved": {"depth": 2.0}}, {"both_faces": True}]
)
def test_a_particle_has_no_layers(tmp_path: Path, changes: dict) -> None:
    with pytest.raises(InputError, match="a particle has no layers"):
        particle(tmp_path, **changes)


def read_slab(tmp_path: Path, atoms: Atoms) -> Founder:
    path = tmp_path / "slab.extxyz"
    atoms.info = {}
    ase.io.write(path, atoms)
    return make_founder(SystemSection.model_validate({"founder": str(path)}), None)


def test_a_left_handed_slab_is_moved_at_its_upper_face(tmp_path: Path) -> None:
    atoms = diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0)
    roles = np.repeat([MOVED, RELAXED, FROZEN], [1, 5, 2])[atoms.get_tags() - 1]
    for cell in (atoms.cell, atoms.cell[[1, 0, 2]]):
        founder = read_slab(tmp_path, Atoms(atoms, cell=cell))
        assert founder.role.tolist() == roles.tolist()


@pytest.mark.parametrize(
    ("vectors", "axes"),
    [((0, 2, 1), (0, 1, 2)), ((0, 1, 2), (2, 0, 1)), ((0, 2, 1), (0, 2, 1))],
    ids=["open along b", "normal along x", "open along b and y"],
)
def test_a_slab_that_does_not_lie_is_refused(
    tmp_path: Path, vectors: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    atoms = diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0)
    atoms.set_cell(atoms.cell[list(vectors)][:, axes])
    atoms.pbc = atoms.pbc[list(vectors)]
    atoms.positions = atoms.positions[:, axes]
    with pytest.raises(InputError, match=r"slab.extxyz: pbc = .* normal along"):
        read_slab(tmp_path, atoms)


def test_a_slab_whose_third_vector_points_down_is_refused(tmp_path: Path) -> None:
    atoms = diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0)
    atoms.set_cell(np.diag([1.0, 1.0, -1.0]) @ atoms.cell)
    with pytest.raises(InputError, match="normal along"):
        read_slab(tmp_path, atoms)


def test_a_slab_in_reduced_units() -> None:
    study = {
        "potential": {"analytic": "lennard_jones"},
        "system": {"slab": {"element": "Ar", "surface": "fcc100", "lattice_parameter": 1.6}},
    }
    with pytest.raises(InputError, match="it is in reduced units, a slab"):
        make_problem(SearchStudy.model_validate(study))


def symmetric(tmp_path: Path, **changes: object) -> Founder:
    """A (001) slab of an even number of layers, which has an inversion."""
    path = tmp_path / "slab.extxyz"
    ase.io.write(path, Atoms(diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0), info={}))
    system = {"founder": str(path), "moved_layers": 2, "relaxed_layers": 1, "both_faces": True}
    return make_founder(SystemSection.model_validate(system | changes), None)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_an_imposed_inversion_is_kept_by_every_structure(seed: int) -> None:
    with TemporaryDirectory() as folder:
        founder = symmetric(Path(folder), symmetry=["inversion"])
    freedom = make_degrees_of_freedom(founder, 4.0, (1.0, 1.0))
    assert 2 * len(freedom.independent) == len(founder.moved) == 16
    vector = np.random.default_rng(seed).normal(scale=0.3, size=freedom.size)
    positions = freedom.positions(vector)
    shift = positions - founder.configuration.positions
    image = founder.symmetry.image[1]
    np.testing.assert_allclose(shift[image], -shift, atol=1e-12)
    np.testing.assert_allclose(freedom.vector(positions), vector, atol=1e-12)
    broken = positions + np.random.default_rng(seed + 1).normal(scale=0.1, size=positions.shape)
    np.testing.assert_allclose(
        freedom.symmetric(freedom.symmetric(broken)), freedom.symmetric(broken), atol=1e-12
    )


def test_a_mirror_is_kept_where_it_leaves_every_atom_in_its_place() -> None:
    # A cell one atom wide: every atom lies on the mirror and may not leave it.
    system = {"slab": {"layers": 8, "repeat": [1, 2]}, "relaxed_layers": 3}
    for names in (["mirror_x"], ["mirror_x", "mirror_x"]):
        founder = make_founder(SystemSection.model_validate(system | {"symmetry": names}), 5.43)
        assert len(founder.symmetry.rotations) == 2
        shift = scrambled(founder, 1.0, np.random.default_rng(0)) - founder.configuration.positions
        assert np.abs(shift[:, 1:]).max() > 0.3
        np.testing.assert_allclose(shift[:, 0], 0.0, atol=1e-12)


def test_atoms_put_at_random_keep_no_symmetry() -> None:
    for free in (
        {"cluster": {"composition": {"Ar": 4}, "radius": 2.0}},
        {"crystal": {"composition": {"Si": 2}, "cell": np.diag([4.0, 4.0, 4.0]).tolist()}},
    ):
        with pytest.raises(ValueError, match="are put at random; drop it"):
            SystemSection.model_validate(free | {"symmetry": ["inversion"]})


def test_a_symmetry_the_founder_lacks(tmp_path: Path) -> None:
    path = tmp_path / "rattled.extxyz"
    atoms = Atoms(diamond100("Si", (2, 2, 8), a=5.43, vacuum=6.0), info={})
    atoms.rattle(0.2, seed=1)
    ase.io.write(path, atoms)
    with pytest.raises(InputError, match='the founder has no "inversion"'):
        symmetric(tmp_path, founder=str(path), symmetry=["inversion"])


def test_a_symmetry_that_exchanges_unlike_atoms(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different roles"):
        symmetric(tmp_path, symmetry=["inversion"], both_faces=False)


@pytest.mark.parametrize(
    ("choice", "count"),
    [({"depth": 0.1}, 4), ({"indices": [3, 5]}, 2), ({"elements": ["Si"], "depth": 1.5}, 8)],
)
def test_moved_atoms_by_choice(tmp_path: Path, choice: dict, count: int) -> None:
    founder = symmetric(tmp_path, moved=choice, frozen={"indices": [0, 1]}, both_faces=False)
    assert len(founder.moved) == count
    assert founder.role[:2].tolist() == [FROZEN, FROZEN]


def test_a_choice_that_leaves_nothing_to_move(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no atom is left to move"):
        symmetric(tmp_path, moved={"elements": ["Ge"]})
    with pytest.raises(InputError, match="no atom 99"):
        symmetric(tmp_path, moved={"indices": [99]})


@pytest.mark.shared
def test_the_strontium_titanate_slab_moves_42_atoms_a_side(shared: Path) -> None:
    path = shared / "data/srtio3_110/slabs_4x1.extxyz"
    middle = [8, 25, 42, 59, 86, 91, 96, 101, 106, 111, 116, 121]
    system = SystemSection.model_validate(
        {
            "founder": str(path),
            "founder_index": 383,
            "both_faces": True,
            "symmetry": ["inversion"],
            "moved": {"depth": 6.5},
            "frozen": {"indices": middle},
        }
    )
    founder = make_founder(system, None)
    freedom = make_degrees_of_freedom(founder, 3.0, (1.5, 2.0))
    assert (len(founder.moved), freedom.size) == (84, 126)
    assert int((~founder.mobile).sum()) == 12
    method = MethodSection(scramble=0.6, minimum_distance=1.1)
    start = random_start(founder, freedom, method, np.random.default_rng(4))
    assert nearest_distance(freedom, start) >= 1.1
    shift = start - founder.configuration.positions
    assert np.abs(shift).max() > 0.3
    np.testing.assert_allclose(shift[founder.symmetry.image[1]], -shift, atol=1e-9)
