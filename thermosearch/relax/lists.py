"""Which neighbour lists a host-driven run uses: where they are made and how wide they are.

A plan follows from one configuration alone, so that no number depends on the company a
configuration travels in.
"""

import math
from dataclasses import replace
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool

from thermosearch.configuration import Configuration
from thermosearch.potentials.evaluate import bucket
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.neighbours_device import DeviceList, Held, answer_overflow
from thermosearch.potentials.neighbours_host import (
    host_neighbours,
    refuse_negative_skin,
    widen,
)
from thermosearch.runtime.errors import InputError

LARGEST_CAPACITY = 4096
"""Slots an atom beyond which a configuration has collapsed rather than filled its list."""

LARGEST_SEARCH = 2**18
"""Pairs times images up to which a list is made inside the compiled loop."""

EVEN_SEARCH = 2**15
"""Pairs times images up to which all periodic directions are given as many images as the one that
needs most: a search costs less than another compilation for (1, 2, 1) after (2, 1, 1)."""

Where = Literal["auto", "device", "host"]


class ListPlan(NamedTuple):
    """How the lists of one configuration are made; hashable, one compilation each.

    Attributes
    ----------
    cutoff, skin : float
        Of the potential (None: it needs no list), and what is added, A.
    capacity : int
        Slots an atom.
    finder : DeviceList or None
        Makes lists inside the loop; None for lists from the host.
    """

    cutoff: float | None
    skin: float
    capacity: int
    finder: DeviceList | None


def first_plan(
    potential: Potential,
    configuration: Configuration,
    skin: float | None,
    lists: Where,
    capacity: int = 4,
) -> ListPlan:
    """Plan with a quarter more slots than the configuration needs now, at least `capacity`.

    Raises
    ------
    InputError
        If the skin is negative: pairs within the cutoff would be missing.
    """
    cutoff = potential.cutoff
    if cutoff is None:
        return ListPlan(None, 0.0, 1, None)
    if skin is None:
        skin = 0.0 if math.isinf(cutoff) else 0.15 * cutoff
    refuse_negative_skin(skin)
    finder = _even(DeviceList.covering([configuration], cutoff + skin), configuration)
    finder = replace(finder, capacity=max(bucket(finder.capacity), capacity))
    small = _search(configuration, finder.images) <= LARGEST_SEARCH
    inside = small if lists == "auto" else lists == "device"
    return ListPlan(cutoff, skin, finder.capacity, finder if inside else None)


def larger_plan(plan: ListPlan, configuration: Configuration) -> ListPlan | None:
    """Plan for a configuration that overflowed its list; None if no sensible list would do."""
    reach = plan.cutoff + plan.skin
    try:
        grown = answer_overflow(
            plan.finder or DeviceList(reach, plan.capacity, (0, 0, 0)), [configuration]
        )
    except InputError:
        return None
    capacity = bucket(max(grown.capacity, plan.capacity + 1))
    if capacity > LARGEST_CAPACITY:
        return None
    grown = _even(replace(grown, capacity=capacity), configuration)
    return plan._replace(capacity=capacity, finder=None if plan.finder is None else grown)


def _even(finder: DeviceList, configuration: Configuration) -> DeviceList:
    """As many images in every periodic direction, where that costs little."""
    one, two, three = np.where(configuration.pbc, max(finder.images), 0).tolist()
    if _search(configuration, (one, two, three)) > EVEN_SEARCH:
        return finder
    return replace(finder, images=(one, two, three))


def _search(configuration: Configuration, images: tuple[int, int, int]) -> int:
    return len(configuration.numbers) ** 2 * math.prod(2 * k + 1 for k in images)


def renew_lists(
    held: Held, waits: Bool[np.ndarray, " lanes"], configurations: Configuration, plan: ListPlan
) -> Held:
    """Make lists on the host for the lanes that wait for them, the others unchanged."""
    held, configurations = jax.device_get((held, configurations))
    held = jax.tree.map(np.array, held)
    for k in np.flatnonzero(waits):
        renewed = _host_list(jax.tree.map(lambda leaf, k=k: leaf[k], configurations), plan)
        for field, new in zip(jax.tree.leaves(held), jax.tree.leaves(renewed), strict=True):
            field[k] = new
    return held


def _host_list(configuration: Configuration, plan: ListPlan) -> Held:
    """List from the host; `needed` tells if it is incomplete."""
    found = host_neighbours(configuration, plan.cutoff + plan.skin)
    if found.needed > plan.capacity:
        found = host_neighbours(configuration, plan.cutoff + plan.skin, plan.capacity)
    else:
        found = widen(found, plan.capacity)
    return Held(found, configuration.positions, configuration.cell)
