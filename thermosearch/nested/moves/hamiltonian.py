"""Hamiltonian Monte Carlo on the total enthalpy: a trajectory with momenta of the prior."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from thermosearch.configuration import Array
from thermosearch.nested.momenta import draw_kinetic
from thermosearch.nested.moves.interface import Move, Proposal, propose
from thermosearch.nested.streams import Stream, fold, normal, uniform
from thermosearch.nested.walker import System, Walker

SHORTEST = 0.5
"""Time steps are drawn between this and once the step size: no period of the system is met."""


class Trajectory(NamedTuple):
    """What a trajectory remembers; masses are 1.

    Attributes
    ----------
    positions, velocity : (n, 3, w) float64
        Where it has come to; the velocity is a direction in momentum space until the start.
    time_step : (w,) float64
        Of all of its steps.
    kinetic : (w,) float64
        Where it began.
    needed : (w,) int32
        Most neighbour slots of its gradients.
    """

    positions: Float[Array, "n 3 *w"]
    velocity: Float[Array, "n 3 *w"]
    time_step: Float[Array, "*w"]
    kinetic: Float[Array, "*w"]
    needed: Int[Array, "*w"]


class HamiltonianMove(Move):
    """Fresh momenta, uniform where H + K is below the contour, then `length` steps of dynamics.

    Half a step of the positions, the momenta, half a step of the positions: the map preserves the
    volume of phase space and is its own inverse with the momenta reversed, so that taking its end
    where H + K is below the contour and K below its bound, and else staying with the momenta
    drawn, leaves the prior below the contour as it is. The energy need not be conserved for that;
    how well it is decides how many trajectories are taken. The cell stays: its moves take turns
    with this one.

    The contour is on H + K in all moves of a study that has this one; see `nested.momenta`.
    """

    uses_forces: ClassVar[bool] = True
    samples_momenta: ClassVar[bool] = True

    length: int = eqx.field(static=True, default=8)
    name: str = eqx.field(static=True, default="hamiltonian")
    largest: float = eqx.field(static=True, default=5.0)
    target: float = eqx.field(static=True, default=0.7)

    def attempts(self, system: System) -> int:
        """One for each gradient; only the last of them proposes."""
        return self.length

    def prepare(
        self, system: System, step: Float[Array, ""], own: Stream
    ) -> tuple[Trajectory, Float[Array, " length *w"]]:
        """Draw the direction of the momenta, their share of the ball, and the time step."""
        direction = system.on_mobile(normal(fold(own, 0), (len(system.mobile), 3)))
        unit = direction / jnp.sqrt(jnp.sum(direction**2, axis=(0, 1)))
        time_step = step * (SHORTEST + (1.0 - SHORTEST) * uniform(fold(own, 1)))
        share = draw_kinetic(fold(own, 2), jnp.ones_like(time_step), _dimensions(system))
        nowhere = jnp.zeros_like(unit)
        needed = jnp.zeros(time_step.shape, jnp.int32)
        memory = Trajectory(nowhere, unit, time_step, share, needed)
        return memory, jnp.zeros((self.length, *time_step.shape), jnp.float64)

    def attempt(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        task: tuple[Int[Array, ""], Float[Array, "*w"]],
        memory: Trajectory,
    ) -> tuple[Proposal, Trajectory]:
        """One step of the dynamics."""
        number, _ = task
        first, last = number == 0, number == self.length - 1
        at = self._begun(system, walker, limit, memory, first)
        before = jnp.where(first, 0.5, 1.0) * at.time_step
        after = jnp.where(last, 0.5, 0.0) * at.time_step
        middle = walker._replace(positions=at.positions + before * at.velocity)
        _, gradient, needed = system.energy_gradient(middle)
        velocity = at.velocity - at.time_step * gradient
        positions = middle.positions + after * velocity
        slots = jnp.maximum(at.needed, needed)

        kinetic = 0.5 * jnp.sum(velocity**2, axis=(0, 1))
        moved = walker._replace(positions=positions, kinetic=kinetic)
        # NaN passes, and is then seen in the energy.
        allowed = last & system.holds_atoms(moved) & ~(kinetic > system.highest_kinetic)
        proposal = propose(
            walker,
            moved,
            limit,
            allowed,
            otherwise=walker._replace(kinetic=jnp.where(last, at.kinetic, walker.kinetic)),
            counted=jnp.broadcast_to(last, limit.shape),
            gradients=jnp.ones(limit.shape, jnp.int32),
            needed=slots,
        )
        return proposal, Trajectory(positions, velocity, at.time_step, at.kinetic, slots)

    def _begun(
        self,
        system: System,
        walker: Walker,
        limit: Float[Array, "*w"],
        memory: Trajectory,
        first: Bool[Array, ""],
    ) -> Trajectory:
        """Where the walker stands, with fresh momenta, before the first step."""
        room = jnp.fmin(limit - system.configurational_value(walker), system.highest_kinetic)
        kinetic = jnp.where(first, jnp.maximum(room, 0.0) * memory.kinetic, memory.kinetic)
        return memory._replace(
            positions=jnp.where(first, walker.positions, memory.positions),
            velocity=memory.velocity * jnp.where(first, jnp.sqrt(2.0 * kinetic), 1.0),
            kinetic=kinetic,
        )


def _dimensions(system: System) -> int:
    return 3 * len(system.mobile)
