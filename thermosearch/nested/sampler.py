"""Nested sampling: cull the highest walkers, clone others in their place, walk the clones.

J. Skilling, Bayesian Anal. 1, 833 (2006), DOI 10.1214/06-BA127; of atoms: L. B. Pártay, A. P.
Bartók, G. Csányi, J. Phys. Chem. B 114, 10502 (2010), DOI 10.1021/jp1012973.

Contours are of values and labels: see `contour`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt32

from thermosearch.configuration import Array
from thermosearch.nested.contour import Contour
from thermosearch.nested.finders import with_capacity
from thermosearch.nested.momenta import draw_kinetic
from thermosearch.nested.moves.interface import OUTCOMES
from thermosearch.nested.moves.steps import adapted
from thermosearch.nested.spread import committee_spread
from thermosearch.nested.streams import stream, uniform
from thermosearch.nested.walk import Plan, Walked, walk_all
from thermosearch.nested.walker import System, Walker
from thermosearch.potentials.evaluate import bucket
from thermosearch.potentials.interface import has_spread
from thermosearch.runtime.communicator import Communicator
from thermosearch.runtime.errors import InputError


@dataclass(frozen=True)
class Sizes:
    """Numbers of walkers and of their steps; results follow from them, never from the ranks.

    Attributes
    ----------
    walkers : int
        K, live at any time.
    culled : int
        P, the highest, replaced in an iteration by clones of others.
    extra : int
        E, others that walk too.
    rounds : int
        Length of a walk, in rounds of the plan.
    width : int
        Walkers of one compiled call; also the portion that a rank is given.
    initial_rounds : int
        Length of the walk under no contour that follows the first draw.
    """

    walkers: int
    culled: int
    extra: int
    rounds: int
    width: int
    initial_rounds: int

    def __post_init__(self) -> None:
        if self.culled + self.extra > self.walkers or self.culled >= self.walkers:
            raise InputError(
                f"method: culled = {self.culled} and extra = {self.extra} do not leave a survivor "
                f"to clone among walkers = {self.walkers}: raise walkers, or lower the others"
            )

    @property
    def shrinkage(self) -> float:
        """Mean decrease of ln X in an iteration: the order statistics of P out of K."""
        return float(np.sum(1.0 / (self.walkers - np.arange(self.culled))))


class State(NamedTuple):
    """All that an iteration needs; the walker is the last axis of every array of walkers.

    Attributes
    ----------
    iteration : int
        Iterations done.
    walkers : Walker
        K of them.
    value, label : (K,) float64
        What the contour orders them by.
    birth : (K,) float64
        Value of the contour that each was born under.
    steps : (moves,) float64
        Step sizes.
    tally : (moves, 4) int64
        Outcomes since the step sizes changed last.
    walks : int
        Walks since then.
    capacity : int
        Neighbour slots.
    evaluations : int
        Energies computed so far.
    unmoved : int
        Clones so far whose walk accepted nothing: copies of another walker.
    idle : int
        Iterations in a row in which no walk accepted anything.
    """

    iteration: int
    walkers: Walker
    value: Float[np.ndarray, " walkers"]
    label: Float[np.ndarray, " walkers"]
    birth: Float[np.ndarray, " walkers"]
    steps: Float[np.ndarray, " moves"]
    tally: Int[np.ndarray, "moves 4"]
    walks: int
    capacity: int
    evaluations: int
    unmoved: int
    idle: int


class Culled(NamedTuple):
    """The dead points of one iteration, highest first, and what the walks were like.

    Attributes
    ----------
    walkers : Walker
        As they died, P of them.
    value, birth : (P,) float64
        Contour values at death and birth.
    slot : (P,) int64
        Places among the walkers.
    spread : (P,) float64
        Of the committee, energy an atom; NaN where the potential has no members.
    steps : (moves,) float64
        Step sizes of the walks that followed.
    tally : (moves, 4) int64
        Outcomes of these walks.
    displacement : float
        Root mean square displacement of an atom in one of these walks.
    """

    walkers: Walker
    value: Float[np.ndarray, " culled"]
    birth: Float[np.ndarray, " culled"]
    slot: Int[np.ndarray, " culled"]
    spread: Float[np.ndarray, " culled"]
    steps: Float[np.ndarray, " moves"]
    tally: Int[np.ndarray, "moves 4"]
    displacement: float


@dataclass(frozen=True)
class Sampler:
    """The sampler: `start` gives a state, `step` the next one with the points that died.

    Attributes
    ----------
    system : System
        What is sampled.
    plan : Plan
        The moves of a walk.
    sizes : Sizes
        How many.
    seed : int
        Every random number follows from it, the iteration and the walker's place.
    communicator : Communicator
        Ranks that share the walks.
    """

    system: System
    plan: Plan
    sizes: Sizes
    seed: int
    communicator: Communicator

    def start(self, founder: Walker) -> State:
        """Draw the walkers from the prior.

        Parameters
        ----------
        founder : Walker
            One walker, without an axis of its own: species, frozen atoms, and the cell where it
            is fixed.

        Raises
        ------
        InputError
            If walkers have no finite energy after the walk under no contour.
        """
        k = self.sizes.walkers
        walkers = draw_walkers(
            self.system, founder, np.arange(k, dtype=np.uint32), np.uint32(self.seed)
        )
        state = State(
            iteration=0,
            walkers=jax.tree.map(np.asarray, walkers),
            value=np.full(k, np.inf),
            label=np.zeros(k),
            birth=np.full(k, np.inf),
            steps=np.array([0.3 * move.largest for move in self.plan.moves]),
            tally=np.zeros((len(self.plan.moves), len(OUTCOMES)), np.int64),
            walks=0,
            capacity=self.system.finder.capacity,
            evaluations=0,
            unmoved=0,
            idle=0,
        )
        limits = np.full(k, np.inf)
        rounds = self.sizes.initial_rounds
        state, walked = self._walk(state, state.walkers, np.arange(k), limits, rounds)
        value = np.array(self.system.value(walked.walker))
        if not np.isfinite(value).all():
            lost = int((~np.isfinite(value)).sum())
            raise InputError(
                f"potential: {lost} of {k} walkers drawn from the prior have no finite energy "
                "after walking freely; it cannot be sampled in this container"
            )
        label = self._generator(0).uniform(size=k)
        return self._adapt(
            state._replace(walkers=walked.walker, value=value, label=label), walked, k
        )

    def step(self, state: State) -> tuple[State, Culled]:
        """Cull, clone and walk once."""
        k, p, e = self.sizes.walkers, self.sizes.culled, self.sizes.extra
        state = state._replace(iteration=state.iteration + 1)
        generator = self._generator(state.iteration)
        order = np.lexsort((state.label, state.value))
        dead, survivors = order[: k - p - 1 : -1], order[: k - p]
        parents = generator.choice(survivors, p)
        extras = generator.choice(survivors, e, replace=False)
        slots = np.concatenate((dead, extras))
        starts = np.concatenate((parents, extras))
        limits = Contour(state.value[dead[-1]], state.label[dead[-1]])

        label = limits.relabel(state.value[starts], generator)
        moving = jax.tree.map(lambda a: a[..., starts], state.walkers)
        before = state
        state, walked = self._walk(state, moving, slots, limits.bounds(label), self.sizes.rounds)
        value = limits.below(np.array(self.system.value(walked.walker)))
        tally = walked.tally.sum(axis=-1, dtype=np.int64)

        walkers = jax.tree.map(np.copy, before.walkers)
        for kept, new in zip(*map(jax.tree.leaves, (walkers, walked.walker)), strict=True):
            kept[..., slots] = new
        accepted = walked.tally[:, OUTCOMES.index("accepted")].sum(axis=0)
        after = state._replace(
            walkers=walkers,
            value=_with(state.value, slots, value),
            label=_with(state.label, slots, limits.relabel(value, generator)),
            birth=_with(state.birth, dead, np.full(p, limits.value)),
            unmoved=state.unmoved + int(np.sum(accepted[:p] == 0)),
            idle=0 if accepted.any() else state.idle + 1,
        )
        died = jax.tree.map(lambda a: a[..., dead], before.walkers)
        culled = Culled(
            walkers=died,
            value=before.value[dead],
            birth=before.birth[dead],
            slot=dead,
            spread=self._spread(died, before.capacity),
            steps=before.steps,
            tally=tally,
            displacement=float(np.sqrt(walked.displacement.mean())),
        )
        return self._adapt(after, walked, p + e), culled

    def _generator(self, iteration: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, iteration))

    def _walk(
        self,
        state: State,
        walkers: Walker,
        slots: Int[np.ndarray, " w"],
        limits: Float[np.ndarray, " w"],
        rounds: int,
    ) -> tuple[State, Walked]:
        """Walk in portions of equal width, shared between the ranks; grow full lists."""
        width, count = self.sizes.width, len(slots)

        def run(portion: Int[np.ndarray, " width"]) -> Walked:
            identities = np.stack((np.full(width, state.iteration), slots[portion]))
            walked = walk_all(
                self._system_with(state.capacity),
                self.plan,
                jax.tree.map(lambda a: a[..., portion], walkers),
                limits[portion],
                steps=state.steps,
                rounds=np.int32(rounds),
                identities=identities.astype(np.uint32),
                seed=np.uint32(self.seed),
            )
            return jax.tree.map(np.asarray, walked)

        shares = self.communicator.map(run, self._portions(count))
        walked = jax.tree.map(lambda *each: np.concatenate(each, axis=-1)[..., :count], *shares)
        evaluations = state.evaluations + int(walked.evaluations.sum())
        state = state._replace(evaluations=evaluations)
        needed = int(walked.needed.max())
        if needed > state.capacity:
            # Some energies on the way missed neighbours: the walks are void. The same walks, with
            # the same random numbers, once more.
            grown = state._replace(capacity=bucket(needed + 1, smallest=4))
            return self._walk(grown, walkers, slots, limits, rounds)
        return state, walked

    def _spread(self, walkers: Walker, capacity: int) -> Float[np.ndarray, " w"]:
        """Committee's spread of walkers whose neighbours fit the capacity."""
        count = walkers.energy.shape[-1]
        if not has_spread(self.system.potential):
            return np.full(count, np.nan)
        system = self._system_with(capacity)

        def run(portion: Int[np.ndarray, " width"]) -> Float[np.ndarray, " width"]:
            chosen = jax.tree.map(lambda a: a[..., portion], walkers)
            return np.asarray(committee_spread(system, chosen))

        return np.concatenate(self.communicator.map(run, self._portions(count)))[:count]

    def _portions(self, count: int) -> list[Int[np.ndarray, " width"]]:
        """Places of walkers, in portions of equal width; the last one is filled up."""
        width = self.sizes.width
        return [
            np.minimum(np.arange(first, first + width), count - 1)
            for first in range(0, count, width)
        ]

    def _system_with(self, capacity: int) -> System:
        if self.system.finder.capacity == capacity:
            return self.system
        finder = with_capacity(self.system.finder, capacity)
        return eqx.tree_at(lambda system: system.finder, self.system, finder)

    def _adapt(self, state: State, walked: Walked, walks: int) -> State:
        """Change step sizes between iterations, once a quarter of the walkers has walked."""
        tally = state.tally + walked.tally.sum(axis=-1, dtype=np.int64)
        walks = state.walks + walks
        if 4 * walks < self.sizes.walkers:
            return state._replace(tally=tally, walks=walks)
        return state._replace(
            steps=adapted(self.plan.moves, state.steps, tally),
            tally=np.zeros_like(tally),
            walks=0,
        )


def _with(
    array: Float[np.ndarray, " walkers"],
    slots: Int[np.ndarray, " w"],
    values: Float[np.ndarray, " w"],
) -> Float[np.ndarray, " walkers"]:
    changed = array.copy()
    changed[slots] = values
    return changed


@eqx.filter_jit
def draw_walkers(
    system: System, founder: Walker, slots: UInt32[Array, " walkers"], seed: UInt32[Array, ""]
) -> Walker:
    """Draw walkers from the prior, one for each slot, with their energies.

    What a measure cannot draw exactly is only a first guess; see `Measure.draw`.
    """

    def one(slot: Array) -> Walker:
        own = stream(seed, 0xFFFFFFFF, slot)
        positions, cell = system.measure.draw(own, founder.cell, len(system.mobile))
        if system.has_frozen:
            positions = founder.positions.at[system.moving].set(positions)
        numbers = founder.numbers
        if system.species:
            share = uniform(stream(seed, 0xFFFFFFFE, slot), (len(system.mobile),))
            drawn = jnp.asarray(system.species)[(share * len(system.species)).astype(jnp.int32)]
            numbers = numbers.at[system.moving].set(drawn.astype(jnp.int32))
        kinetic = None
        if system.highest_kinetic is not None:
            own = stream(seed, 0xFFFFFFFD, slot)
            kinetic = draw_kinetic(own, system.highest_kinetic, 3 * len(system.mobile))
        walker = Walker(positions, cell, numbers, jnp.zeros((), jnp.float64), kinetic)
        batch = jax.tree.map(lambda a: jnp.asarray(a)[..., None], walker)
        energy, _ = system.energy(batch)
        return walker._replace(energy=energy[0])

    return jax.vmap(one, out_axes=-1)(slots)
