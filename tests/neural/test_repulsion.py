import jax.numpy as jnp
import numpy as np
from ase.units import Bohr, Hartree

from thermosearch.neural.repulsion import pair_repulsion, smooth_step, zbl


def test_universal_screening() -> None:
    # Constants of the published formula, here in atomic units: a = 0.8854 a0 / (Z1^.23 + Z2^.23).
    r = np.array([0.1, 0.5, 1.0, 1.5])
    a = 0.8854 * Bohr / (14.0**0.23 + 8.0**0.23)
    phi = (
        0.1818 * np.exp(-3.2 * r / a)
        + 0.5099 * np.exp(-0.9423 * r / a)
        + 0.2802 * np.exp(-0.4029 * r / a)
        + 0.02817 * np.exp(-0.2016 * r / a)
    )
    expected = Hartree * Bohr * 14.0 * 8.0 / r * phi
    found = zbl(jnp.asarray(r), jnp.asarray(14.0), jnp.asarray(8.0))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_switch_is_one_below_and_zero_above() -> None:
    r = jnp.asarray([0.5, 1.0, 1.5, 2.0, 3.0])
    one, two = jnp.asarray(1.0), jnp.asarray(2.0)
    step = smooth_step(r, one, two)
    np.testing.assert_allclose(step, [1.0, 1.0, 0.5, 0.0, 0.0], atol=1e-15)
    z = jnp.asarray(14.0)
    energy = pair_repulsion(r, z, z, one, (1.0, 2.0))
    np.testing.assert_allclose(energy, zbl(r, z, z) * step, rtol=1e-14)
