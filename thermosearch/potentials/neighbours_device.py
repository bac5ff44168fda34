"""Neighbour lists made on the device, inside jit: small cells that move or change shape.

All n^2 pairs and all periodic images of a static number are looked at, which for up to a few
hundred atoms beats any cell list. What a walk does in its inner loop:

    device_list = DeviceList.covering(configurations, potential.cutoff + skin)
    held = hold(device_list, configuration)
    ...
    held = refresh(device_list, held, configuration, potential.cutoff)   # a rebuild only if due

and after the walk, on the host, `if held.neighbours.needed > device_list.capacity`: grow the
list with `answer_overflow` and repeat the step.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import PADDING, Array, Configuration, validate
from thermosearch.potentials.interface import Neighbours
from thermosearch.potentials.neighbours_host import host_neighbours
from thermosearch.runtime.errors import InputError

UNANSWERABLE = 2**30
"""`needed` where more capacity alone does not help: a cell too thin for the images, or NaN."""

_ROUNDING = 1e-12
"""By which, relative to the cutoff, images may miss it: energies are zero there."""


class DeviceList(eqx.Module):
    """How to list neighbours inside jit; everything is static.

    Attributes
    ----------
    cutoff : float
        Radius of the list, A: the potential's cutoff plus a skin, if any.
    capacity : int
        Slots an atom.
    images : (int, int, int)
        Periodic images looked at on either side, a direction; pairs are first brought to their
        nearest image in lattice coordinates, so 0 serves cells higher than twice the cutoff.
    nearest_first : bool
        Whether more than one image on a side is looked at only in cells that need it: looking at
        two takes three times as long. Under `vmap` both would be.
    """

    cutoff: float = eqx.field(static=True)
    capacity: int = eqx.field(static=True)
    images: tuple[int, int, int] = eqx.field(static=True)
    nearest_first: bool = eqx.field(static=True, default=False)

    @classmethod
    def covering(
        cls, configurations: Sequence[Configuration], cutoff: float, slack: float = 1.25
    ) -> "DeviceList":
        """Choose capacity and images so that all the given configurations fit.

        Parameters
        ----------
        configurations : sequence of Configuration
            On the host, without batch axis.
        cutoff : float
            Radius of the list, skin included.
        slack : float
            Capacity and cell heights have this factor in reserve.
        """
        if np.isinf(cutoff):
            atoms = max(len(c.numbers) for c in configurations)
            if any(np.asarray(c.pbc).any() for c in configurations):
                raise InputError("potential: an infinite cutoff needs pbc = false everywhere")
            return cls(cutoff, max(atoms - 1, 1), (0, 0, 0))
        needed = max(int(host_neighbours(c, cutoff).needed) for c in configurations)
        each = [_images(c, cutoff * slack) for c in configurations]
        return cls(
            float(cutoff),
            int(np.ceil(max(needed, 3) * slack / 4)) * 4,
            tuple(int(k) for k in np.max(each, axis=0)),
        )

    def find(self, configuration: Configuration) -> Neighbours:
        """List all neighbours within the cutoff, every periodic image counted.

        Parameters
        ----------
        configuration : Configuration
            One configuration (of a batch: under `vmap` or a loop).

        Returns
        -------
        Neighbours
            `needed > capacity` where the list is incomplete: an atom has more neighbours than
            slots, or (`UNANSWERABLE`) the cell became too thin for the images or something is
            not finite. It is answered on the host by `answer_overflow`.
        """
        if not self.nearest_first or max(self.images) <= 1:
            return self._find(configuration)
        one, two, three = (min(count, 1) for count in self.images)
        narrow = replace(self, images=(one, two, three))
        covered = narrow._covers(configuration, _dual(configuration))
        return jax.lax.cond(covered, narrow._find, self._find, configuration)

    def _find(self, configuration: Configuration) -> Neighbours:
        shifts = np.array(list(product(*(range(-k, k + 1) for k in self.images))), np.int32)
        n, k = configuration.positions.shape[0], len(shifts)
        dual = _dual(configuration)
        nearest, squared = _images_of_pairs(configuration, dual, shifts)
        near = (squared <= self.cutoff**2) & _countable(configuration, shifts)
        near = near.reshape(n, n * k)

        chosen, count = _compact(near, self.capacity)
        filled = chosen < n * k
        row = jnp.arange(n, dtype=jnp.int32)[:, None]
        partner, image = jnp.divmod(jnp.where(filled, chosen, 0), k)
        shift = jnp.asarray(shifts)[image] - nearest[row, partner].astype(jnp.int32)
        # The images stand in an order that reversing negates: (j, i, -S) is image k - 1 - S.
        mirror = count.reshape(-1)[(partner * n + row) * k + (k - 1 - image)] - 1
        return Neighbours(
            index=jnp.where(filled, partner, n),
            shift=jnp.where(filled[..., None], shift, 0),
            reverse=jnp.where(filled, partner * self.capacity + mirror, n * self.capacity),
            needed=jnp.where(
                self._answerable(configuration, dual),
                jnp.max(count[:, -1]),
                jnp.asarray(UNANSWERABLE, jnp.int32),
            ),
        )

    def _answerable(
        self, configuration: Configuration, dual: Float[Array, "3 3"]
    ) -> Bool[Array, ""]:
        """Whether the images reach the cutoff and everything is finite."""
        finite = jnp.all(jnp.isfinite(configuration.positions)) & jnp.all(jnp.isfinite(dual))
        return self._covers(configuration, dual) & finite

    def _covers(self, configuration: Configuration, dual: Float[Array, "3 3"]) -> Bool[Array, ""]:
        # A cell of exactly two cutoffs reaches one but for rounding.
        reach = (jnp.asarray(self.images, jnp.float64) + 0.5) / jnp.linalg.norm(dual, axis=1)
        return jnp.all((reach >= self.cutoff * (1.0 - _ROUNDING)) | ~configuration.pbc)


def answer_overflow(
    device_list: DeviceList, configurations: Sequence[Configuration], slack: float = 1.25
) -> DeviceList:
    """Grow a list so that the configurations that overflowed fit; repeat the step with it.

    Parameters
    ----------
    device_list : DeviceList
        The list that was too small (`needed > capacity`).
    configurations : sequence of Configuration
        Where it was, on the host.
    slack : float
        Reserve, as in `DeviceList.covering`.

    Returns
    -------
    DeviceList
        Never smaller than before, so that this ends.

    Raises
    ------
    InputError
        If a configuration is not finite or its cell singular: no list would do.
    """
    for k, configuration in enumerate(configurations):
        validate(configuration, label=f"structure {k}")
    wider = DeviceList.covering(configurations, device_list.cutoff, slack)
    return replace(
        device_list,
        capacity=max(device_list.capacity, wider.capacity),
        images=tuple(max(pair) for pair in zip(device_list.images, wider.images, strict=True)),
    )


class Held(NamedTuple):
    """A list and the geometry it was made for."""

    neighbours: Neighbours
    positions: Float[Array, "*batch n 3"]
    cell: Float[Array, "*batch 3 3"]


def hold(device_list: DeviceList, configuration: Configuration) -> Held:
    """Make a list to be kept while atoms move; see `refresh`."""
    return Held(device_list.find(configuration), configuration.positions, configuration.cell)


def refresh(
    device_list: DeviceList, held: Held, configuration: Configuration, reach: float
) -> Held:
    """Keep the held list while it still has every pair within `reach`, else make it anew.

    A pair now at distance r was at most |G| r + 2 u apart when the list was made, with u the
    largest displacement left after the deformation G of the cell; so the list is complete as
    long as |G| reach + 2 u <= cutoff of the list.

    Parameters
    ----------
    device_list : DeviceList
        With a cutoff beyond `reach`; the difference is the skin.
    held : Held
        What `hold` or `refresh` gave last.
    configuration : Configuration
        The atoms as they are now; they may drift, but not be wrapped, since.
    reach : float
        Cutoff of the potential.

    Returns
    -------
    Held
        The same (kept) or a new one.
    """
    deformation = jnp.eye(3, dtype=jnp.float64) + _dual(configuration).T @ jnp.where(
        configuration.pbc[:, None], held.cell - configuration.cell, 0.0
    )
    moved = configuration.positions @ deformation - held.positions
    real = configuration.numbers != PADDING
    farthest = jnp.sqrt(jnp.max(jnp.where(real, jnp.sum(moved**2, axis=1), 0.0)))
    # The Frobenius norm of G - 1 bounds its spectral norm.
    stretch = 1.0 + jnp.linalg.norm(deformation - jnp.eye(3, dtype=jnp.float64))
    complete = stretch * reach + 2.0 * farthest <= device_list.cutoff
    return jax.lax.cond(complete, lambda: held, lambda: hold(device_list, configuration))


def thinned(
    neighbours: Neighbours, configuration: Configuration, cutoff: float, capacity: int
) -> Neighbours:
    """Keep those of a list that are within a shorter cutoff now.

    Looks at the slots of a list, not at all pairs and images: a tenth of the work of a search in a
    cell of 16 atoms.

    Parameters
    ----------
    neighbours : Neighbours
        A list that is complete beyond the cutoff, for the same atoms wherever they were then.
    configuration : Configuration
        The atoms as they are now, not wrapped since.
    cutoff : float
        The shorter one.
    capacity : int
        Slots an atom of the new list.

    Returns
    -------
    Neighbours
        `needed > capacity` where an atom has more neighbours than slots.
    """
    n, slots = neighbours.index.shape
    listed = neighbours.index < n
    others = jnp.where(listed, neighbours.index, 0)
    cell = jnp.where(configuration.pbc[:, None], configuration.cell, 0.0)
    shifts = neighbours.shift.astype(jnp.float64)
    squared = jnp.zeros((), jnp.float64)
    for axis in range(3):
        # Odd under exchange of the pair to the last bit, as in `_images_of_pairs`.
        x = configuration.positions[:, axis]
        squared = squared + (x[others] - x[:, None] + shifts @ cell[:, axis]) ** 2
    chosen, count = _compact(listed & (squared <= cutoff**2), capacity)

    filled = chosen < slots
    place = jnp.where(filled, chosen, 0)
    partner = jnp.take_along_axis(others, place, axis=1)
    back = jnp.where(filled, jnp.take_along_axis(neighbours.reverse, place, axis=1), 0)
    mirror = count.reshape(-1)[back] - 1
    shift = jnp.take_along_axis(neighbours.shift, place[..., None], axis=1)
    return Neighbours(
        index=jnp.where(filled, partner, n),
        shift=jnp.where(filled[..., None], shift, 0),
        reverse=jnp.where(filled, partner * capacity + mirror, n * capacity),
        needed=jnp.max(count[:, -1]),
    )


def _compact(
    near: Bool[Array, "n m"], capacity: int
) -> tuple[Int[Array, "n capacity"], Int[Array, "n m"]]:
    """Places of the true entries of every row, padded with m, and the running counts of them.

    A running count numbers the slots, a scatter fills them. Of sort, top_k, binary search, bit
    masks and this, the quickest on a CPU.
    """
    n, m = near.shape
    count = jnp.cumsum(near, axis=1, dtype=jnp.int32)
    row = jnp.arange(n, dtype=jnp.int32)[:, None]
    column = jnp.where(near, count - 1, capacity)
    place = jnp.broadcast_to(jnp.arange(m, dtype=jnp.int32), (n, m))
    chosen = jnp.full((n, capacity), m, jnp.int32)
    return chosen.at[row, column].set(place, mode="drop"), count


def _images(configuration: Configuration, cutoff: float) -> list[int]:
    """Count the images a direction that reach the cutoff, after pairs are at their nearest."""
    periodic = np.where(np.asarray(configuration.pbc)[:, None], configuration.cell, 0.0)
    per_height = np.linalg.norm(np.linalg.pinv(periodic), axis=0)
    return [max(0, int(np.ceil(cutoff * inverse - 0.5))) for inverse in per_height]


def _dual(configuration: Configuration) -> Float[Array, "3 3"]:
    """Rows b_k within the span of the periodic vectors with a_l . b_k = delta_lk.

    In a non-periodic direction the row is zero (its vector, which may be zero too, is ignored).
    """
    pbc = configuration.pbc
    cell = jnp.where(pbc[:, None], jnp.asarray(configuration.cell), 0.0)
    gram = cell @ cell.T + jnp.diag(jnp.where(pbc, 0.0, 1.0))
    adjugate = jnp.stack(
        [
            jnp.cross(gram[1], gram[2]),
            jnp.cross(gram[2], gram[0]),
            jnp.cross(gram[0], gram[1]),
        ],
        axis=1,
    )
    return adjugate @ cell / jnp.dot(gram[0], adjugate[:, 0])


def _images_of_pairs(
    configuration: Configuration, dual: Float[Array, "3 3"], shifts: Int[np.ndarray, "k 3"]
) -> tuple[Float[Array, "n n 3"], Float[Array, "n n k"]]:
    """Lattice vector that brings every pair nearest, and squared distances of its images.

    Everything is odd under exchange of the pair to the last bit, so that both directions of a
    pair are always listed together.
    """
    fractional = configuration.positions @ dual.T
    nearest = jnp.round(fractional[None] - fractional[:, None])
    cell = jnp.where(configuration.pbc[:, None], configuration.cell, 0.0)
    offsets = jnp.asarray(shifts, jnp.float64) @ cell
    squared = jnp.zeros((), jnp.float64)
    for axis in range(3):
        x = configuration.positions[:, axis]
        home = x[None] - x[:, None] - nearest @ cell[:, axis]
        squared = squared + (home[:, :, None] + offsets[:, axis]) ** 2
    return nearest, squared


def _countable(
    configuration: Configuration, shifts: Int[np.ndarray, "k 3"]
) -> Bool[Array, "n n k"]:
    """Mask out the atom itself, padding atoms, and images in non-periodic directions."""
    n, k = configuration.positions.shape[0], len(shifts)
    itself = np.eye(n, dtype=bool)[:, :, None] & (np.arange(k) == k // 2)
    real = jnp.asarray(configuration.numbers) != PADDING
    periodic = jnp.all((shifts == 0) | configuration.pbc, axis=1)
    return ~itself & real[:, None, None] & real[None, :, None] & periodic
