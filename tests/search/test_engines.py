"""Engines by one protocol: the same starts, resumable, and each better than it looks alone."""

from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest

import thermosearch
from thermosearch.runtime.errors import InputError
from thermosearch.search.archive import Archive, Minimum
from thermosearch.search.engines import ENGINES, Engine
from thermosearch.search.evaluate import Relaxer
from thermosearch.search.execute import relaxation_of
from thermosearch.search.finish import Minima
from thermosearch.search.frames import frames_of
from thermosearch.search.members import RelaxedSlab
from thermosearch.search.problem import Problem, make_problem
from thermosearch.search.seed import SeedSearch
from thermosearch.search.study import SearchStudy

LJ7 = -16.505384
"""Cambridge Cluster Database."""

CLUSTER = {
    "kind": "search",
    "potential": {"analytic": "lennard_jones"},
    "system": {"cluster": {"composition": {"Ar": 7}, "radius": 2.0}},
    "method": {
        "engines": list(ENGINES),
        "seeds": 3,
        "budget": 1500,
        "target": LJ7,
        "success": 0.001,
        "population": 4,
        "minimum_distance": 0.6,
        "relaxation_steps": 200,
        "relaxation_force": 0.3,
        "refine_within": 0.5,
        "final_force": 0.01,
        "cma": {"restart": "bipop", "stagnation": 4, "align": True, "relocation": 0.25},
        "minima_hopping": {"time_step": 0.03},
    },
    "run": {"seed": 2, "precision": "float64"},
}


def study(**changes: object) -> SearchStudy:
    return SearchStudy.model_validate(CLUSTER | {"method": CLUSTER["method"] | changes})


@pytest.fixture(scope="module")
def cluster() -> Problem:
    return make_problem(study(target=None, budget=10**6))


@pytest.fixture(scope="module")
def relax(cluster: Problem) -> Relaxer:
    relaxation = relaxation_of(cluster.method)
    return Relaxer(cluster.potential, cluster.founder, cluster.freedom, relaxation)


def advance(seed: SeedSearch, relax: Relaxer, rounds: int) -> SeedSearch:
    for _ in range(rounds):
        seed.tell(relax(seed.ask()))
    return seed


@pytest.mark.parametrize("name", list(ENGINES))
def test_every_engine_keeps_the_protocol_and_resumes_bit_for_bit(
    name: str, cluster: Problem, relax: Relaxer
) -> None:
    whole = advance(SeedSearch(name, 1, 5, cluster), relax, 14)
    assert isinstance(whole.engine, Engine)
    half = advance(SeedSearch(name, 1, 5, cluster), relax, 9)
    resumed = SeedSearch(name, 1, 5, cluster)
    resumed.restore(half.state())
    advance(resumed, relax, 5)
    for field in ("energy", "calls", "rejection", "round", "step"):
        np.testing.assert_array_equal(
            getattr(resumed.history, field), getattr(whole.history, field)
        )
    for one, other in zip(resumed.ask(), whole.ask(), strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        assert one.refine_below == other.refine_below
    found = [(m.energy, m.hits, m.calls, m.engine) for m in resumed.candidates.minima]
    assert found == [(m.energy, m.hits, m.calls, m.engine) for m in whole.candidates.minima]


def test_engines_of_one_seed_begin_alike_and_of_another_differ(cluster: Problem) -> None:
    starts = {name: SeedSearch(name, 0, 5, cluster).ask()[0].positions for name in ENGINES}
    first = starts["random"]
    for positions in starts.values():
        np.testing.assert_allclose(positions, first, atol=1e-12)
    assert not np.array_equal(SeedSearch("random", 1, 5, cluster).ask()[0].positions, first)


def test_a_strategy_begins_with_random_starts_and_after_a_restart_with_the_next(
    cluster: Problem, relax: Relaxer
) -> None:
    random, strategy = (SeedSearch(name, 0, 5, cluster) for name in ("random", "cma"))
    starts = [each.positions for _ in range(50) for each in random.ask()]
    used = restarts = 0
    for _ in range(40):
        proposals = strategy.ask()
        asked = [each.positions for each in proposals]
        if np.allclose(asked[0], starts[used], atol=1e-9):
            np.testing.assert_allclose(asked, starts[used : used + len(asked)], atol=1e-9)
            used, restarts = used + len(asked), restarts + 1
        strategy.tell(relax(proposals))
    assert restarts > 2


def test_restarts_double_the_population_or_alternate(cluster: Problem, relax: Relaxer) -> None:
    seed = SeedSearch("cma", 0, 5, cluster)
    sizes = []
    for _ in range(40):
        asked = seed.ask()
        sizes.append(len(asked))
        seed.tell(relax(asked))
    assert sizes[0] == 4
    assert max(sizes) >= 8, "the large regime doubles"
    large_at = sizes.index(max(sizes))
    assert min(sizes[large_at:]) < max(sizes), "and small ones come in between"


def test_a_structure_from_another_island_is_in_the_next_generation(
    cluster: Problem, relax: Relaxer
) -> None:
    one, other = (advance(SeedSearch("cma", k, 5, cluster), relax, 2) for k in (0, 1))
    migrant = one.candidates.minima[0].positions
    other.engine.receive(migrant)
    asked = other.ask()
    energies = [result.energy for result in relax(asked)]
    assert min(energies) <= one.candidates.minima[0].energy + 0.05


def test_side_by_side_they_share_budget_and_archive(tmp_path: Path) -> None:
    results = thermosearch.run(study(), output=tmp_path / "run", quiet=True)
    told = {(q.name, q.conditions.get("engine")): q for q in results.quantities}
    assert told["lowest_energy", None].value == pytest.approx(LJ7, abs=1e-4)
    for name in ENGINES:
        success = told["success_probability", name]
        assert success.conditions["calls"] == 1500
        assert 0.0 <= success.conditions["low"] <= success.value <= success.conditions["high"]
        assert success.value > 0.5, "seven atoms are easy for all"
    minima = ase.io.read(tmp_path / "run/structures/minima.extxyz", index=":")
    # LJ7 has four minima: a pentagonal bipyramid (order 20) and three more.
    assert len(minima) == 4
    assert minima[0].info["point_group_order"] == 20
    assert sum(atoms.info["hits"] for atoms in minima) > 4
    stored = list(ase.db.connect(tmp_path / "run/structures/minima.db").select())
    energies = [atoms.info["energy_epsilon"] for atoms in minima]
    assert [row.energy_epsilon for row in stored] == energies
    assert told["lowest_energy", None].unit == "epsilon"
    assert [s["energy_epsilon"] for s in results.structures if "minima" in s["file"]] == energies
    assert not [key for s in results.structures for key in s if key.endswith("_eV")]


def test_a_minimum_and_its_parent_have_energies_in_one_unit(cluster: Problem) -> None:
    positions = SeedSearch("random", 0, 5, cluster).ask()[0].positions
    minimum = Minimum(-16.0, positions, seed=0, generation=1, parent=-15.5)
    archive = Archive(cluster.founder, 1, 0.1, 0.1, minima=[minimum])
    best = RelaxedSlab(None, -16.0, positions, calls=1, converged=True)
    frames = frames_of(cluster, Minima(archive, [minimum], [0]), [best])
    (atoms,) = frames["structures/minima.extxyz"]
    assert atoms.info["energy_epsilon"] == -16.0
    assert atoms.info["parent_energy_epsilon"] == -15.5


def test_engines_side_by_side_need_a_budget(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give method"):
        thermosearch.run(study(budget=None), output=tmp_path / "run", quiet=True)
