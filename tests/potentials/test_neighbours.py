"""Neighbour lists against matscipy, and what happens when they do not fit."""

import subprocess
import sys
from dataclasses import replace
from time import perf_counter

import jax
import numpy as np
import pytest
from ase.build import bulk
from matscipy.neighbours import neighbour_list
from potentials.geometries import random_configuration, without_idle_vectors

from thermosearch.configuration import Configuration, from_ase, pad
from thermosearch.potentials.interface import Neighbours
from thermosearch.potentials.neighbours_device import (
    UNANSWERABLE,
    DeviceList,
    answer_overflow,
    hold,
    refresh,
    thinned,
)
from thermosearch.potentials.neighbours_host import host_neighbours, widen
from thermosearch.runtime.errors import InputError

CUTOFF = 3.0
SEEDS = range(200)


def listed(neighbours: Neighbours) -> list[tuple[int, ...]]:
    """Sorted (i, j, S) of a list; checks the reverse slots on the way."""
    index, reverse = np.asarray(neighbours.index), np.asarray(neighbours.reverse).ravel()
    n, m = index.shape
    filled = index < n
    rows = np.broadcast_to(np.arange(n)[:, None], (n, m))
    shift = np.asarray(neighbours.shift)
    mirror = reverse.reshape(n, m)[filled]
    assert np.array_equal(index.ravel()[mirror], rows[filled])
    assert np.array_equal(rows.ravel()[mirror], index[filled])
    assert np.array_equal(shift.reshape(-1, 3)[mirror], -shift[filled])
    assert np.array_equal(reverse[mirror], np.flatnonzero(filled))
    assert np.all(reverse.reshape(n, m)[~filled] == n * m)
    return sorted(
        zip(rows[filled].tolist(), index[filled].tolist(), *shift[filled].T.tolist(), strict=True)
    )


def by_matscipy(configuration: Configuration) -> list[tuple[int, ...]]:
    i, j, shift = neighbour_list(
        "ijS",
        positions=configuration.positions,
        cell=configuration.cell,
        pbc=configuration.pbc,
        cutoff=CUTOFF,
    )
    return sorted(zip(i.tolist(), j.tolist(), *shift.T.tolist(), strict=True))


@pytest.mark.parametrize("block", range(4))
def test_host_list_is_that_of_matscipy(block: int) -> None:
    for seed in SEEDS[block::4]:
        configuration = random_configuration(seed, CUTOFF)
        expected = by_matscipy(configuration)
        neighbours = host_neighbours(configuration, CUTOFF)
        assert listed(neighbours) == expected, seed
        assert neighbours.needed <= neighbours.index.shape[1]
        idle = without_idle_vectors(configuration)
        assert listed(host_neighbours(idle, CUTOFF)) == expected, seed


FLOWN_OFF = """
import numpy as np
from ase.build import bulk
from thermosearch.configuration import from_ase, pairs_within

def pairs(configuration):
    i, j, shift, distance = pairs_within(configuration, 3.0)
    one, other = zip(i, j, *shift.T), zip(j, i, *-shift.T)
    return {min(pair): d for *pair, d in zip(one, other, distance)}

atoms = bulk("Si", "diamond", 5.43, cubic=True).repeat((1, 2, 2))
atoms.rotate(33.0, (1.0, 2.0, 0.5), rotate_cell=True)
for pbc in ((False,) * 3, (True, True, False), (False, True, False)):
    atoms.pbc = pbc
    slab = from_ase(atoms)
    up = np.cross(*atoms.cell[:2]) * [[1e6], [1e6], [-1e7]]
    up[1, 2] += 2.0
    flown = slab._replace(
        positions=np.concatenate([slab.positions, up]),
        numbers=np.append(slab.numbers, np.full(3, 14, np.int32)),
    )
    expected, found = pairs(slab), pairs(flown)
    flyers = [pair for pair in found if pair[1] >= 32]
    assert len(flyers) == 1 and flyers[0][:2] == (32, 33), (pbc, flyers)
    assert abs(found.pop(flyers[0]) - 2.0) < 1e-6, pbc
    assert len(found) > 30 and found == expected, pbc
"""


def test_atoms_that_flew_off_neither_end_nor_halt_the_search() -> None:
    subprocess.run([sys.executable, "-c", FLOWN_OFF], check=True, timeout=120)


@pytest.fixture(scope="module")
def device_list() -> DeviceList:
    everything = [random_configuration(seed, CUTOFF) for seed in SEEDS]
    return DeviceList.covering(everything, CUTOFF, slack=1.0)


@pytest.mark.parametrize("nearest_first", [False, True])
def test_device_list_is_that_of_matscipy(device_list: DeviceList, nearest_first: bool) -> None:
    find = jax.jit(replace(device_list, nearest_first=nearest_first).find)
    for seed in SEEDS:
        configuration = random_configuration(seed, CUTOFF)
        for given in (configuration, without_idle_vectors(configuration)):
            neighbours = find(pad(given, 8))
            assert neighbours.needed <= device_list.capacity, seed
            assert listed(neighbours) == by_matscipy(configuration), seed


def test_thinned_list_is_that_of_matscipy(device_list: DeviceList) -> None:
    broad = replace(device_list, cutoff=1.2 * CUTOFF, capacity=2 * device_list.capacity)
    broad = replace(broad, images=tuple(count + 1 for count in broad.images))
    capacity = device_list.capacity
    thin = jax.jit(lambda c: thinned(broad.find(c), c, CUTOFF, capacity))
    for seed in SEEDS[::4]:
        configuration = random_configuration(seed, CUTOFF)
        neighbours = thin(pad(configuration, 8))
        assert neighbours.needed <= capacity, seed
        assert listed(neighbours) == by_matscipy(configuration), seed


def test_device_list_in_a_batch_is_the_single_one() -> None:
    frames = [from_ase(bulk("Si", cubic=True)) for _ in range(3)]
    for seed, frame in enumerate(frames):
        frame.positions[:] += np.random.default_rng(seed).normal(scale=0.3, size=(8, 3))
    device_list = DeviceList.covering(frames, CUTOFF)
    batch = jax.tree.map(lambda *a: np.stack(a), *frames)
    together = jax.jit(jax.vmap(device_list.find))(batch)
    for k, frame in enumerate(frames):
        one = jax.tree.map(lambda a, k=k: a[k], together)
        assert listed(one) == by_matscipy(frame)


def test_large_cell_is_listed_in_well_under_a_second() -> None:
    configuration = from_ase(bulk("Si", cubic=True).repeat(10))
    times = []
    for _ in range(3):
        start = perf_counter()
        neighbours = host_neighbours(configuration, 5.0)
        times.append(perf_counter() - start)
    assert neighbours.index.shape == (8000, 28)
    assert min(times) < 1.0


def test_too_small_a_capacity_shows_and_is_answered() -> None:
    silicon = from_ase(bulk("Si", cubic=True))
    full = host_neighbours(silicon, 5.0)
    short = host_neighbours(silicon, 5.0, capacity=10)
    assert short.needed == full.needed == 28
    assert short.index.shape == (8, 10)
    with pytest.raises(ValueError, match="28 needed"):
        widen(short, 64)
    assert listed(widen(full, 40)) == listed(full)

    small = DeviceList(5.0, 10, (1, 1, 1))
    assert jax.jit(small.find)(silicon).needed == 28
    grown = answer_overflow(small, [silicon])
    assert listed(jax.jit(grown.find)(silicon)) == listed(full)


def test_too_few_slots_for_what_is_left_of_a_list_show() -> None:
    crystal = from_ase(bulk("Si", cubic=True))
    broad = DeviceList.covering([crystal], 4.5)
    assert thinned(broad.find(crystal), crystal, 4.0, 8).needed == 16


def test_cell_too_thin_for_the_images_shows_and_is_answered() -> None:
    thin = from_ase(bulk("Si", cubic=True).repeat((1, 2, 2)))
    few = DeviceList(5.0, 40, (0, 0, 0))
    assert jax.jit(few.find)(thin).needed == UNANSWERABLE
    grown = answer_overflow(few, [thin])
    assert grown.images == (1, 1, 1)  # with 25 % of reserve
    assert listed(jax.jit(grown.find)(thin)) == listed(host_neighbours(thin, 5.0))


def test_position_that_is_not_finite_shows_and_cannot_be_answered() -> None:
    broken = from_ase(bulk("Si", cubic=True))
    broken.positions[3, 1] = np.nan
    device_list = DeviceList(3.0, 8, (1, 1, 1))
    assert jax.jit(device_list.find)(broken).needed == UNANSWERABLE
    with pytest.raises(InputError, match="position of atom 3"):
        answer_overflow(device_list, [broken])


@pytest.mark.parametrize("strain", [0.0, 0.01])
def test_held_list_is_kept_while_complete_and_made_anew_in_time(strain: float) -> None:
    start = from_ase(bulk("Si", cubic=True))
    reach, skin = 3.0, 0.8
    device_list = DeviceList.covering([start], reach + skin, slack=4.0)
    renew = jax.jit(lambda held, now: refresh(device_list, held, now, reach))
    thin = jax.jit(lambda held, now: thinned(held.neighbours, now, reach, device_list.capacity))
    held = jax.jit(lambda c: hold(device_list, c))(start)
    rng = np.random.default_rng(0)
    now, kept = start, 0
    for _ in range(40):
        deformation = np.eye(3) + strain * rng.normal(size=(3, 3))
        positions = (now.positions + 0.05 * rng.normal(size=(8, 3))) @ deformation
        now = now._replace(positions=positions, cell=now.cell @ deformation)
        renewed = renew(held, now)
        kept += int(np.array_equal(renewed.positions, held.positions))
        held = renewed
        assert held.neighbours.needed <= device_list.capacity
        assert listed(thin(held, now)) == listed(host_neighbours(now, reach))
    assert 0 < kept < 40


def test_infinite_cutoff_lists_all_pairs_of_a_cluster_only() -> None:
    cluster = random_configuration(4, CUTOFF)
    n = len(cluster.numbers)
    assert len(listed(host_neighbours(cluster, np.inf))) == n * (n - 1)
    device_list = DeviceList.covering([cluster], np.inf)
    assert len(listed(jax.jit(device_list.find)(cluster))) == n * (n - 1)
    with pytest.raises(InputError, match="infinite cutoff"):
        host_neighbours(from_ase(bulk("Si")), np.inf)
