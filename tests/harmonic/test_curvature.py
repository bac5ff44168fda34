"""The curvature of the free energy where it is known in closed form."""

import numpy as np
import pytest

from thermosearch.harmonic.curvature import hessian, softest
from thermosearch.harmonic.statistics import (
    Bath,
    Modes,
    antithetic_normals,
    displacements,
    harmonic_free_energy,
    normal_modes,
)


@pytest.mark.parametrize("quantum", [True, False])
def test_bubble_of_a_mode_that_stiffens_another(quantum: bool) -> None:
    """U = a x^2 / 2 + b y^2 / 2 + c x y^2: F(x) = a x^2 / 2 + F_harm(b + 2 c x)."""
    a, b, c, at = 1.0, 2.0, 0.3, Bath(0.5, quantum, 1.0)
    phi = np.diag([a, b])
    modes = normal_modes(phi, np.ones(2), translations=0)
    x = displacements(modes, at, antithetic_normals((1,), 0, 2000, 2))
    along = modes.vectors[:, 0]
    assert np.abs(along) == pytest.approx([1.0, 0.0])
    change = np.stack([-a * np.ones(len(x)), -2.0 * c * x[:, 1]], axis=1) * along[0]
    (found,), (error,) = hessian(modes, at, softest(modes, 1), x, change[None])

    def free(x: float) -> float:
        other = Modes(np.array([np.sqrt(b + 2.0 * c * x)]), np.ones((1, 1)), np.ones(1))
        return a * x**2 / 2.0 + harmonic_free_energy(other, at)

    step = 1e-3
    exact = (free(step) - 2.0 * free(0.0) + free(-step)) / step**2
    assert exact < a
    # The third derivative is right to the noise of <y^2>, sqrt(2 / 2000) of each half.
    assert found - a == pytest.approx(exact - a, rel=0.12)
    assert error == pytest.approx(abs(exact - a) * np.sqrt(2.0 * 2.0 / 1000), rel=0.7)


def test_softest_takes_one_of_each_degenerate_set() -> None:
    frequencies = np.array([1.0, 1.0, 1.0 + 1e-7, 2.0, 2.0, 3.0])
    modes = Modes(frequencies, np.eye(6), np.ones(6))
    assert softest(modes, 2).tolist() == [0, 3]
    assert softest(modes, 9).tolist() == [0, 3, 5]
