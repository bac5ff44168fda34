"""Random starting structures of seeds."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from thermosearch.search.degrees_of_freedom import DegreesOfFreedom, repaired
from thermosearch.search.founder import Founder, scrambled
from thermosearch.search.regions import Region
from thermosearch.search.study import MethodSection
from thermosearch.search.symmetry import nearest_image

TRIES = 200
"""Draws of one atom before it is left to the repair of short distances."""


def random_start(
    founder: Founder,
    freedom: DegreesOfFreedom,
    method: MethodSection,
    generator: np.random.Generator,
) -> Float[np.ndarray, "n 3"]:
    """Positions a seed may begin from, A.

    Moved atoms are displaced within the radius `scramble`, or, with `start = "random"` and in
    clusters and crystals, drawn anywhere in the region; an overlayer's atoms always are drawn,
    within its thickness.
    """
    anywhere = starts_anywhere(founder, method)
    positions = (
        np.array(founder.configuration.positions)
        if anywhere
        else scrambled(founder, method.scramble, generator)
    )
    first_added = len(positions) - founder.added
    places: dict[int, Region] = {}
    if anywhere:
        places |= dict.fromkeys(freedom.independent.tolist(), freedom.region)
    if founder.above is not None:
        places |= dict.fromkeys(range(first_added, len(positions)), founder.above)
    positions = _placed(freedom, positions, places, method.minimum_distance, generator)
    return repaired(freedom, freedom.confined(positions), method.minimum_distance)[0]


def starts_anywhere(founder: Founder, method: MethodSection) -> bool:
    """Whether moved atoms begin anywhere in the region rather than displaced from the founder."""
    return method.start == "random" or founder.region is not None


def _placed(
    freedom: DegreesOfFreedom,
    positions: Float[np.ndarray, "n 3"],
    places: Mapping[int, Region],
    minimum: float,
    generator: np.random.Generator,
) -> Float[np.ndarray, "n 3"]:
    """Draw places for atoms one by one, none nearer than `minimum` to the others if possible."""
    atoms = np.array(list(places), np.int64)
    others = np.ones(len(positions), bool)
    others[atoms] = False
    if freedom.symmetry is not None:
        others[freedom.atoms] = False
    for atom, region in places.items():
        for _ in range(TRIES):
            (point,) = region.draw(1, generator)
            away = nearest_image(positions[others] - point, freedom.founder)
            if not len(away) or np.sum(away**2, axis=1).min() >= minimum**2:
                break
        positions[atom] = point
        others[atom] = True
    if freedom.symmetry is None or not len(atoms):
        return positions
    origin = np.asarray(freedom.founder.positions)
    chosen = np.zeros_like(origin)
    chosen[atoms] = (positions - origin)[atoms]
    return origin + freedom.symmetry.spread_out(chosen)
