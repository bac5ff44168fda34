"""What lists the neighbours of a walker inside a compiled walk."""

from dataclasses import replace
from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from thermosearch.configuration import Configuration
from thermosearch.potentials.evaluate import bucket
from thermosearch.potentials.interface import Neighbours
from thermosearch.potentials.neighbours_device import (
    UNANSWERABLE,
    DeviceList,
    Held,
    hold,
    refresh,
    thinned,
)


class AllPairs(eqx.Module):
    """Every atom is a neighbour of every other: clusters, where nothing repeats."""

    atoms: int = eqx.field(static=True)

    @property
    def capacity(self) -> int:
        """Enough for all others."""
        return max(1, self.atoms - 1)

    def find(self, configuration: Configuration) -> Neighbours:
        """Give the same list whatever the positions."""
        n, m = self.atoms, self.capacity
        slots = np.arange(n - 1 if n > 1 else 0)
        index = np.full((n, m), n, np.int32)
        reverse = np.full((n, m), n * m, np.int32)
        for i in range(n):
            partners = slots + (slots >= i)
            index[i, slots] = partners
            reverse[i, slots] = partners * m + i - (i > partners)
        return Neighbours(
            index=jnp.asarray(index),
            shift=jnp.zeros((n, m, 3), jnp.int32),
            reverse=jnp.asarray(reverse),
            needed=jnp.asarray(len(slots), jnp.int32),
        )


class SkinnedList(eqx.Module):
    """Keeps the pairs within the cutoff and a skin, and picks from these for every energy.

    The kept list is made anew where atoms or the cell have moved too far for it to be complete.
    What is picked are the neighbours that a search would find. Side by side walkers would search
    every time.

    Attributes
    ----------
    exact : DeviceList
        Within the cutoff; its images reach the skin too.
    skin : float
        A.
    """

    exact: DeviceList
    skin: float = eqx.field(static=True)

    @property
    def capacity(self) -> int:
        """Slots an atom, within the cutoff."""
        return self.exact.capacity

    def find(self, configuration: Configuration) -> Neighbours:
        """List all neighbours, of a configuration that nothing is known of."""
        return self.exact.find(configuration)

    def hold(self, configuration: Configuration) -> Held:
        """List the pairs that `near` picks from."""
        return hold(self.broad, configuration)

    def near(self, held: Held, configuration: Configuration) -> tuple[Held, Neighbours]:
        """List all neighbours, of a configuration not far from what the kept list was made for.

        Returns
        -------
        Held
            The same or a new one.
        Neighbours
            Also `needed > capacity` where the kept list has too few slots.
        """
        reach, capacity = self.exact.cutoff, self.exact.capacity
        held = refresh(self.broad, held, configuration, reach)
        found = thinned(held.neighbours, configuration, reach, capacity)
        kept = held.neighbours.needed
        lacking = jnp.where(kept >= UNANSWERABLE, kept, capacity + 1)
        incomplete = kept > self.broad.capacity
        return held, found._replace(needed=jnp.where(incomplete, lacking, found.needed))

    @property
    def broad(self) -> DeviceList:
        """Lists the pairs within the cutoff and the skin."""
        cutoff = self.exact.cutoff + self.skin
        capacity = bucket(round(self.capacity * (cutoff / self.exact.cutoff) ** 3))
        return replace(self.exact, cutoff=cutoff, capacity=capacity)


NeighbourFinder: TypeAlias = AllPairs | DeviceList | SkinnedList
"""Has `find` and `capacity`."""


def with_capacity(finder: NeighbourFinder, capacity: int) -> NeighbourFinder:
    """Give the same finder with more slots; every pair needs no more than it has."""
    if isinstance(finder, SkinnedList):
        return replace(finder, exact=replace(finder.exact, capacity=capacity))
    if isinstance(finder, DeviceList):
        return replace(finder, capacity=capacity)
    return finder
