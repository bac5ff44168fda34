"""Momenta that are sampled with the positions, and how their share is taken out again.

The contours are then on the total enthalpy, H + K with the kinetic energy K, and the prior is
uniform in the momenta of the d mobile coordinates within the ball K < K_max (R. J. N. Baldock et
al., Phys. Rev. E 96, 043311 (2017), DOI 10.1103/PhysRevE.96.043311). Only K is kept of them: given
K, all directions of the momenta are as likely, and one is drawn anew for every trajectory. All
masses are 1, which changes the dynamics and no average.

With weights exp(-(H + K) / kT) the configurations are those of exp(-H / kT) whatever K_max,
because the momenta factor; what they add to ln Z is known,

    ln int_{K < K_max} dp exp(-K / kT) / int_{K < K_max} dp
        = ln[ Gamma(d/2 + 1) P(d/2, x) x^(-d/2) ],  x = K_max / kT,

with P the regularised incomplete gamma function. The analysis averages H, not H + K, and takes
this term off: the momenta that the thermal wavelengths stand for are not counted twice.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import gammainc, gammaln

from thermosearch.configuration import Array
from thermosearch.nested.streams import Stream, uniform

MARGIN = 2.0
"""K_max in units of the mean kinetic energy at the highest temperature asked for."""


def highest_kinetic(kt: float, dimensions: int) -> float:
    """Choose K_max.

    Any would be right. A low one keeps trajectories short; every doubling costs d/2 ln 2 more
    e-folds of prior mass.

    Parameters
    ----------
    kt : float
        Highest temperature asked for.
    dimensions : int
        d, of the mobile coordinates.
    """
    return MARGIN * 0.5 * dimensions * kt


def draw_kinetic(own: Stream, room: Float[Array, "*w"], dimensions: int) -> Float[Array, "*w"]:
    """Kinetic energies of momenta uniform in the balls K < room: room u^(2 / d).

    Parameters
    ----------
    own : Stream
        Random numbers.
    room : (w,) float64
        Upper bounds.
    dimensions : int
        d.
    """
    return room * uniform(own, ()) ** (2.0 / dimensions)


def log_share(
    kt: Float[np.ndarray, " t"], highest: float, dimensions: int
) -> Float[np.ndarray, " t"]:
    """Logarithm of what the momenta add to Z relative to the prior; see the module.

    Parameters
    ----------
    kt : (t,) float64
        Temperatures.
    highest : float
        K_max.
    dimensions : int
        d.
    """
    half, x = 0.5 * dimensions, highest / np.asarray(kt)
    return gammaln(half + 1.0) + np.log(gammainc(half, x)) - half * np.log(x)
