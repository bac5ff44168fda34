"""Phases and basins at one pressure and composition: which structures weigh when."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from thermosearch.nested.analysis import Estimate, pool, sampled_averages
from thermosearch.nested.course import Course
from thermosearch.nested.curves import Curve
from thermosearch.nested.kept import (
    Grids,
    Kept,
    choose_grids,
    order_of,
    spreads_of,
)
from thermosearch.nested.minima import Minimum
from thermosearch.nested.problem import Problem
from thermosearch.nested.quench import Quenched
from thermosearch.nested.study import NestedStudy
from thermosearch.potentials.interface import has_spread
from thermosearch.runtime.communicator import Communicator

DISORDERED, MIXED = "disordered", "mixed"
LOWEST_CRYSTAL = 3
"""Number of the first space group with more than a centre of inversion: a small cell of a relaxed
liquid has P1 or P-1."""
SAME_BASIN_KT = 0.1
"""Minima of one space group whose enthalpies an atom differ by less than this share of the lowest
kT are one basin."""
MOST_BASINS = 12


class Basin(NamedTuple):
    """Minima that are the same.

    Attributes
    ----------
    label : str
        Its phase, and its place among the basins from the lowest enthalpy up.
    enthalpy, volume : float
        An atom.
    lowest : Minimum
        The lowest of its minima.
    """

    label: str
    enthalpy: float
    volume: float
    lowest: Minimum


class Phases(NamedTuple):
    """What the kept configurations say of one set of conditions.

    Attributes
    ----------
    curves : dict of Curve
        Order parameters and spread against temperature.
    patterns : dict of (x, t) Estimate
        Pair distribution and powder pattern at every temperature.
    grids : Grids or None
        Their distances and wave numbers.
    names : tuple of str
        Phases met, by the greatest share first.
    shares : Estimate of (phases, t)
        Of each in the weight.
    basins : tuple of Basin
        From the lowest enthalpy up.
    basin_shares : Estimate of (basins, t)
    quenches : dict of arrays
        Of every relaxation: `value` of the configuration, `enthalpy` and `volume` an atom of
        the minimum, `basin`.
    """

    curves: dict[str, Curve]
    patterns: dict[str, Estimate]
    grids: Grids | None
    names: tuple[str, ...]
    shares: Estimate
    basins: tuple[Basin, ...]
    basin_shares: Estimate
    quenches: dict[str, np.ndarray]


def find_phases(
    study: NestedStudy,
    problem: Problem,
    courses: list[Course],
    *,
    kept: list[Kept],
    quenched: Sequence[Quenched],
    communicator: Communicator,
) -> Phases:
    """Analyse the kept configurations of all repeats at one set of conditions.

    Parameters
    ----------
    study : NestedStudy
        What was asked for.
    problem : Problem
        Made ready from it.
    courses : list of Course
        The repeats.
    kept : list of Kept
        Of each repeat.
    quenched : sequence of Quenched
        Of each repeat; none if nothing was to be relaxed.
    communicator : Communicator
        Ranks share the work.
    """
    nothing = Estimate(np.zeros((0, len(problem.kt))), np.zeros((0, len(problem.kt))))
    if not all(len(each.places) for each in kept):
        return Phases({}, {}, None, (), nothing, (), nothing, {})
    grids = choose_grids(kept)
    rows = [order_of(problem, study, each.configurations, grids, communicator) for each in kept]
    averages = {
        name: _pooled(study, problem, courses, kept, [row[name] for row in rows])
        for name in rows[0]
    }
    curves = {
        name: Curve(Estimate(found.value[0], found.error[0]), "1")
        for name, found in averages.items()
        if len(found.value) == 1
    }
    if has_spread(problem.system.potential):
        spread = [spreads_of(problem, *pair)[:, None] for pair in zip(courses, kept, strict=True)]
        found = _pooled(study, problem, courses, kept, spread)
        unit = f"{problem.units.names['energy']}/atom"
        curves["committee_spread"] = Curve(Estimate(found.value[0], found.error[0]), unit)
    empty = Phases(
        curves,
        {name: found for name, found in averages.items() if len(found.value) > 1},
        grids,
        (),
        nothing,
        (),
        nothing,
        {},
    )
    return empty._replace(**_of_minima(study, problem, quenched))


def phase_at(phases: Phases, place: int) -> str:
    """Phase that holds more than half of the weight at a temperature; empty where none is known.

    Where none does it is disordered, if minima without symmetry hold the largest share, or mixed:
    repeats that found different crystals, or a liquid, which in a small cell falls into many.
    """
    if not phases.names:
        return ""
    shares = phases.shares.value[:, place]
    most = int(np.argmax(shares))
    name = phases.names[most]
    return name if name == DISORDERED or float(shares[most]) > 0.5 else MIXED


def phase_arrays(problem: Problem, phases: Phases, prefix: str) -> dict[str, Any]:
    """Everything of it, as `results.h5` has it."""
    arrays: dict[str, Any] = {}
    if phases.grids is not None:
        edges = phases.grids.edges
        arrays[f"{prefix}/distance"] = 0.5 * (edges[1:] + edges[:-1])
        arrays[f"{prefix}/wave_number"] = phases.grids.q
    for name, found in phases.patterns.items():
        arrays[f"{prefix}/{name}"] = found.value
        arrays[f"{prefix}/{name}_error"] = found.error
    if phases.names:
        arrays[f"{prefix}/temperature"] = problem.temperatures
        arrays[f"{prefix}/names"] = np.array(phases.names)
        arrays[f"{prefix}/shares"] = phases.shares.value
        arrays[f"{prefix}/shares_error"] = phases.shares.error
        at = [phase_at(phases, place) for place in range(len(problem.kt))]
        arrays[f"{prefix}/dominant"] = np.array(at)
        arrays[f"{prefix}/basins"] = np.array([basin.label for basin in phases.basins])
        arrays[f"{prefix}/basin_enthalpy"] = np.array([b.enthalpy for b in phases.basins])
        arrays[f"{prefix}/basin_volume"] = np.array([b.volume for b in phases.basins])
        arrays[f"{prefix}/basin_shares"] = phases.basin_shares.value
        arrays |= {f"{prefix}/quench_{name}": row for name, row in phases.quenches.items()}
    return arrays


def _of_minima(
    study: NestedStudy, problem: Problem, quenched: Sequence[Quenched]
) -> dict[str, Any]:
    """Fields of `Phases` that follow from relaxations; none where there were none."""
    if not quenched or not all(each.minima for each in quenched):
        return {}
    courses, ended = [each.course for each in quenched], [each.kept for each in quenched]
    minima = [minimum for each in quenched for minimum in each.minima]
    labels = [_phase(each) for each in minima]
    names = tuple(sorted(set(labels)))
    member, basins = _basins(minima, labels, SAME_BASIN_KT * float(problem.kt[0]))
    ends = np.cumsum([len(each.minima) for each in quenched])[:-1]

    def shares(of: np.ndarray, kinds: int) -> Estimate:
        each = np.split(np.eye(kinds)[of], ends)
        return _pooled(study, problem, courses, ended, each)

    of_phase = shares(np.array([names.index(label) for label in labels]), len(names))
    order = np.argsort(-of_phase.value.max(axis=1), kind="stable")
    return {
        "names": tuple(names[i] for i in order),
        "shares": Estimate(of_phase.value[order], of_phase.error[order]),
        "basins": basins,
        "basin_shares": shares(member, len(basins)),
        "quenches": {
            "value": np.concatenate([each.points.configurational[each.places] for each in ended]),
            "enthalpy": np.array([each.enthalpy for each in minima]),
            "volume": np.array([each.volume for each in minima]),
            "basin": member,
        },
    }


def _phase(minimum: Minimum) -> str:
    if minimum.number == 0:
        return ""
    if minimum.number < LOWEST_CRYSTAL:
        return DISORDERED
    return f"{minimum.symbol} ({minimum.number})"


def _basins(
    minima: list[Minimum], labels: list[str], tolerance: float
) -> tuple[Int[np.ndarray, " m"], tuple[Basin, ...]]:
    """Group minima: equal phases whose enthalpies follow each other closely; the rest is one."""
    order = sorted(range(len(minima)), key=lambda i: (labels[i], minima[i].enthalpy))
    groups: list[list[int]] = []
    for i in order:
        last = groups[-1][-1] if groups else None
        near = (
            last is not None
            and labels[i] == labels[last]
            and minima[i].enthalpy - minima[last].enthalpy < tolerance
        )
        if near:
            groups[-1].append(i)
        else:
            groups.append([i])
    largest = sorted(groups, key=len, reverse=True)[: MOST_BASINS - 1]
    chosen = sorted(largest, key=lambda group: minima[group[0]].enthalpy)
    rest = [i for group in groups if group not in largest for i in group]
    if rest:
        chosen.append(sorted(rest, key=lambda i: minima[i].enthalpy))
    member = np.zeros(len(minima), int)
    basins = []
    for number, group in enumerate(chosen):
        member[group] = number
        lowest = minima[group[0]]
        is_rest = bool(rest) and number == len(chosen) - 1
        label = "others" if is_rest else f"{number + 1} {labels[group[0]]}".strip()
        basins.append(Basin(label, lowest.enthalpy, lowest.volume, lowest))
    return member, tuple(basins)


def _pooled(
    study: NestedStudy,
    problem: Problem,
    courses: list[Course],
    kept: list[Kept],
    rows: list[Float[np.ndarray, "_ x"]],
) -> Estimate:
    """Averages over all repeats, (x, t)."""
    return pool(
        [
            sampled_averages(
                each.points,
                each.places,
                row,
                problem.kt,
                draws=study.analysis.draws,
                seed=study.run.seed + course.repeat,
                volume_power=float(problem.reweighting),
            )
            for course, each, row in zip(courses, kept, rows, strict=True)
        ]
    )
