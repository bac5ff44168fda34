import numpy as np
from scipy.special import sph_harm_y

from thermosearch.neural.harmonics import gaunt, solid_harmonics


def test_against_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 50))
    r = np.sqrt(x**2 + y**2 + z**2)
    polar, azimuth = np.arccos(z / r), np.arctan2(y, x)
    for l, of_l in enumerate(solid_harmonics(x, y, z, 7)):
        for m in range(-l, l + 1):
            complex_value = (-1.0) ** m * sph_harm_y(l, abs(m), polar, azimuth)
            if m == 0:
                expected = complex_value.real
            else:
                expected = np.sqrt(2.0) * (complex_value.real if m > 0 else complex_value.imag)
                expected = expected * (-1.0) ** (m - abs(m))
            np.testing.assert_allclose(of_l[l + m], r**l * expected, rtol=1e-10, atol=1e-10)


def test_gaunt_coefficients_expand_products() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(3, 20))
    x, y, z = vectors / np.linalg.norm(vectors, axis=0)
    y1, y2 = (np.array(solid_harmonics(x, y, z, 4)[l]) for l in (1, 2))
    product = y1[:, None] * y2[None]
    expanded = sum(
        np.einsum("abc,ci->abi", gaunt(1, 2, l), np.array(solid_harmonics(x, y, z, 4)[l]))
        for l in (1, 3)
    )
    np.testing.assert_allclose(product, expanded, atol=1e-12)
