"""Shipped potentials pass their check, and broken ones are found out."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float
from potentials.structures import primitive

from thermosearch.configuration import PADDING, Array, Configuration
from thermosearch.potentials.check import CHECKS, CheckFailure, check_potential
from thermosearch.potentials.einstein import EinsteinCrystal
from thermosearch.potentials.ideal_gas import IdealGas
from thermosearch.potentials.interface import Neighbours, Potential, pair_vectors
from thermosearch.potentials.lennard_jones import LennardJones
from thermosearch.potentials.registry import load_potential, shipped_models
from thermosearch.potentials.stillinger_weber import StillingerWeber
from thermosearch.potentials.wells import PolynomialWell

FIELD = ("forces", "padding", "batching")
"""What an external field still has to satisfy."""


@pytest.mark.parametrize(
    ("potential", "options"),
    [
        (StillingerWeber(), {}),
        (StillingerWeber(precision="float32"), {"precision": "float32"}),
        (LennardJones(epsilon=0.3, sigma=2.0, cutoff=5.0, truncation="shifted"), {"smoothness": 1}),
        (LennardJones(epsilon=0.3, sigma=2.0, cutoff=5.0, truncation="tail"), {"smoothness": 0}),
        (IdealGas(), {}),
        (EinsteinCrystal(np.zeros((3, 3)), 2.0), {"checks": (*FIELD, "stress")}),
        (PolynomialWell((0.0, 0.1, -1.0, 0.0, 1.0), (0, 1)), {"checks": FIELD}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Potential) else None,
)
def test_analytic_potentials_pass(potential: Potential, options: dict[str, Any]) -> None:
    check_potential(potential, primitive(), **options).raise_if_failed()


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_pass(name: str) -> None:
    model = load_potential(name, precision="float64")
    check_potential(model, primitive()).raise_if_failed()


class Pairs(Potential):
    """A smooth pair potential with one fault."""

    fault: str = eqx.field(static=True)
    cutoff: float | None = eqx.field(static=True, default=4.0)
    elements: tuple[int, ...] | None = eqx.field(static=True, default=None)
    units: Literal["eV", "reduced"] = eqx.field(static=True, default="eV")

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        vectors, filled = pair_vectors(configuration, neighbours)
        distance = jnp.sqrt(jnp.sum(vectors**2, axis=-1))
        inside = filled & (distance < 4.0)
        if self.fault == "wrong force":
            distance = distance + 0.1 * jax.lax.stop_gradient(jnp.sin(distance))
        taper = (1.0 - (distance / 4.0) ** 2) ** 3
        if self.fault == "jump":
            taper = taper + 0.01
        if self.fault == "kink":
            taper = 1.0 - distance / 4.0
        if self.fault == "no cutoff":
            inside = filled
        value = jnp.where(inside, taper * jnp.exp(-0.3 * distance), 0.0)
        if self.fault == "lattice frame":
            value = value * (1.0 + 0.1 * jnp.where(filled, vectors[..., 0] ** 2, 0.0))
        per_atom = jnp.sum(value, axis=1)
        real = (configuration.numbers != PADDING).astype(jnp.float64)
        return self._total(per_atom, real, configuration)

    def _total(self, per_atom: Array, real: Array, configuration: Configuration) -> Array:
        n = len(per_atom)
        total = jnp.sum(per_atom)
        if self.fault == "not extensive":
            return total + 1e-3 * jnp.sum(per_atom) ** 2
        if self.fault == "order":
            return total + 1e-3 * per_atom[0]
        if self.fault == "padding counts":
            return total + 1e-3 * n
        if self.fault == "anchored":
            return total + 1e-3 * jnp.sum(real * jnp.cos(configuration.positions[:, 1]))
        if self.fault == "no stress":
            volume = jnp.abs(jnp.linalg.det(jax.lax.stop_gradient(configuration.cell)))
            return total + 1e-3 * volume
        return total


def test_the_faultless_one_passes() -> None:
    report = check_potential(Pairs("none"), primitive())
    report.raise_if_failed()
    assert report.passed
    assert not report.failed


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("wrong force", "forces"),
        ("no stress", "stress"),
        ("lattice frame", "rotation"),
        ("anchored", "translation"),
        ("order", "permutation"),
        ("not extensive", "doubled along a"),
        ("no cutoff", "wider list"),
        ("jump", "cutoff 14-14 energy"),
        ("kink", "cutoff 14-14 forces"),
        ("padding counts", "padded"),
    ],
)
def test_a_fault_is_found(fault: str, found: str) -> None:
    report = check_potential(Pairs(fault), primitive())
    assert any(result.name.startswith(found) for result in report.failed), str(report)
    with pytest.raises(CheckFailure, match="FAIL"):
        report.raise_if_failed()


def test_an_unknown_check_and_no_comparison_are_no_pass() -> None:
    with pytest.raises(ValueError, match="unknown checks"):
        check_potential(IdealGas(), primitive(), checks=("force",))
    assert not check_potential(IdealGas(), primitive(), checks=("list",)).passed
    assert set(CHECKS) >= {*FIELD}
