"""What lists the neighbours of a walker inside a compiled walk."""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from thermosearch.configuration import Configuration
from thermosearch.nested.measures import depths
from thermosearch.potentials.interface import Neighbours
from thermosearch.potentials.neighbours_device import DeviceList


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


class TieredList(eqx.Module):
    """Looks at the nearest images alone where these reach the cutoff, which in most cells they do.

    The prior allows cells so thin that second images count, and looking at those takes three times
    as long. Walkers one after the other take the shorter way when they can; side by side all would
    take both.

    Attributes
    ----------
    wide : DeviceList
        With the images that the thinnest cell needs.
    """

    wide: DeviceList

    @property
    def capacity(self) -> int:
        """Slots an atom."""
        return self.wide.capacity

    @property
    def images(self) -> tuple[int, int, int]:
        """Images looked at on either side, at most."""
        return self.wide.images

    def find(self, configuration: Configuration) -> Neighbours:
        """List all neighbours, as `DeviceList.find`."""
        nearest = tuple(min(count, 1) for count in self.images)
        narrow = DeviceList(self.wide.cutoff, self.capacity, nearest)
        reach = (np.array(nearest) + 0.5) * depths(configuration.cell)
        return jax.lax.cond(
            jnp.all(reach >= self.wide.cutoff), narrow.find, self.wide.find, configuration
        )


NeighbourFinder: TypeAlias = AllPairs | DeviceList | TieredList
"""Has `find` and `capacity`."""


def with_capacity(finder: NeighbourFinder, capacity: int) -> NeighbourFinder:
    """Give the same finder with more slots; every pair needs no more than it has."""
    if isinstance(finder, TieredList):
        return TieredList(with_capacity(finder.wide, capacity))
    if isinstance(finder, DeviceList):
        return DeviceList(finder.cutoff, capacity, finder.images)
    return finder
