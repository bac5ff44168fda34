"""One small Stillinger-Weber problem, shared by the room's tests."""

from collections.abc import Callable
from typing import Any

import pytest

from thermosearch.search.problem import Problem, make_problem
from thermosearch.search.study import SearchStudy

SMALL: dict[str, Any] = {
    "kind": "search",
    "potential": {"analytic": "stillinger_weber"},
    "system": {
        "moved_layers": 1,
        "relaxed_layers": 7,
        "slab": {"layers": 16, "repeat": [1, 2], "lattice_parameter": 5.43095},
    },
    "method": {"seeds": 2, "generations": 3, "population": 4},
    "run": {"seed": 3, "precision": "float64"},
}
"""One 2x1 cell, 32 atoms: the smallest cell with a dimer, bottom half frozen."""


def small(**changes: dict[str, Any]) -> SearchStudy:
    """Build the small study with some keys of its sections changed."""
    content = {
        section: (values | changes.get(section, {})) if isinstance(values, dict) else values
        for section, values in SMALL.items()
    }
    return SearchStudy.model_validate(content)


@pytest.fixture(scope="session")
def problem() -> Problem:
    """Return potential, founder and degrees of freedom of the small study."""
    return make_problem(small())


@pytest.fixture(scope="session")
def study() -> Callable[..., SearchStudy]:
    """Return the builder of small studies."""
    return small
