"""Whether a potential is what every engine takes it for: run this on your own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from thermosearch.configuration import Array, Configuration, from_ase, to_ase, validate
from thermosearch.potentials.evaluate import bucket, evaluate, run_bucket
from thermosearch.potentials.interface import (
    Potential,
    Properties,
    energy_forces,
    energy_forces_stress,
)
from thermosearch.potentials.neighbours_host import host_neighbours

CHECKS = (
    "forces",
    "stress",
    "rotation",
    "translation",
    "permutation",
    "extensivity",
    "list",
    "smoothness",
    "padding",
    "batching",
)


def check_potential(
    potential: Potential,
    configuration: Configuration,
    *,
    checks: Collection[str] = CHECKS,
    precision: Literal["float64", "float32"] = "float64",
    smoothness: Literal[0, 1, 2] = 2,
    seed: int = 0,
) -> "CheckReport":
    """Check a potential on a configuration of low symmetry.

    ============  ==========================================================================
    forces        equal the energy's finite difference along random displacements
    stress        equals the energy's finite difference along random strains
    rotation      leaves the energy, turns forces and stress
    translation   leaves everything, forces sum to zero
    permutation   of the atoms permutes the forces
    extensivity   a supercell has twice the energy and the same forces and stress
    list          neighbours beyond the cutoff change nothing
    smoothness    no jump of the energy (and forces) where a pair crosses the cutoff
    padding       padding atoms and empty slots change nothing and feel nothing
    batching      a compiled loop, `vmap` and one at a time agree
    ============  ==========================================================================

    Parameters
    ----------
    potential : Potential
        To be checked.
    configuration : Configuration
        Without symmetry: rattle it. Stress is checked where the cell has a volume,
        extensivity where a direction is periodic, list and smoothness where there is a cutoff.
    checks : collection of str
        Which of the above; an external field, say, is not invariant.
    precision : {"float64", "float32"}
        What the potential computes in: sets the tolerances.
    smoothness : {0, 1, 2}
        What must be continuous at the cutoff: nothing, the energy, or the forces as well.
    seed : int
        Of displacements, strains and rotations.

    Returns
    -------
    CheckReport
        `report.passed`, `str(report)`, `report.raise_if_failed()`.

    Raises
    ------
    ValueError
        If a check is unknown.
    InputError
        If the potential cannot be asked about the configuration.
    """
    if unknown := set(checks) - {*CHECKS}:
        raise ValueError(f"unknown checks {sorted(unknown)}; there are {', '.join(CHECKS)}")
    validate(configuration, elements=potential.elements)
    bench = _Bench(
        potential,
        configuration,
        _TOLERANCES[precision],
        np.random.default_rng(seed),
        _capacity(potential, configuration),
    )
    results: list[CheckResult] = []
    for name in checks:
        if name == "smoothness":
            results += _smoothness(bench, smoothness)
        else:
            results += _CHECK[name](bench)
    return CheckReport(tuple(results))


class CheckFailure(AssertionError):
    """A potential failed its check; the message is the report."""


@dataclass(frozen=True)
class CheckResult:
    """One comparison: passed if the error is within the tolerance (NaN is not)."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return bool(self.error <= self.tolerance)


@dataclass(frozen=True)
class CheckReport:
    """All comparisons made."""

    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Those that failed."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing failed."""
        return bool(self.results) and not self.failed

    def raise_if_failed(self) -> None:
        """Raise `CheckFailure` with the report unless everything passed."""
        if not self.passed:
            raise CheckFailure(f"\n{self}")

    def __str__(self) -> str:
        return "\n".join(
            f"{'ok  ' if r.passed else 'FAIL'} {r.name:<28} error {r.error:.1e} "
            f"(allowed {r.tolerance:.1e})"
            for r in self.results
        )


class _Tolerance(NamedTuple):
    """Relative to the largest energy an atom, force or stress (at least 1) of the structure."""

    equal: float
    """Of quantities that should be equal up to rounding."""
    derivative: float
    """Of finite differences."""
    step: float
    """Displacement of an atom in those, in the unit of length."""


_TOLERANCES = {
    "float64": _Tolerance(equal=1e-9, derivative=1e-6, step=1e-3),
    "float32": _Tolerance(equal=3e-5, derivative=1e-2, step=2e-2),
}


class _Bench(NamedTuple):
    """What every check works with."""

    potential: Potential
    configuration: Configuration
    tolerance: _Tolerance
    rng: np.random.Generator
    capacity: int

    def ask(self, configurations: Sequence[Configuration], skin: float = 0.0) -> list[Properties]:
        """Evaluate configurations of any sizes in one padded shape: one compilation for all.

        The stress is asked for where there is a volume: a calculator refuses it elsewhere.
        """
        atoms = 2 * len(self.configuration.numbers) + 3
        reach = None if self.potential.cutoff is None else self.potential.cutoff + skin
        members = [(k, c, host_neighbours(c, reach)) for k, c in enumerate(configurations)]
        capacity = bucket(max(self.capacity, *(n.index.shape[1] for _, _, n in members)), steps=2)
        filled = members + [members[-1]] * (16 - len(members))
        entry = energy_forces_stress if self.has_volume else energy_forces
        answers = run_bucket(entry, self.potential, filled, "loop", (atoms, capacity))
        return [answer for _, answer in answers][: len(configurations)]

    def compare(
        self, name: str, got: Array | float, expected: Array | float, tolerance: float
    ) -> CheckResult:
        """Largest difference, relative to the largest value expected (at least 1)."""
        got, expected = np.asarray(got), np.asarray(expected)
        scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
        error = float(np.max(np.abs(got - expected), initial=0.0)) / scale
        return CheckResult(name, error, tolerance)

    def same(self, name: str, got: Properties, expected: Properties) -> list[CheckResult]:
        """Energy an atom, forces, and stress where there is a volume."""
        atoms = len(self.configuration.numbers)
        equal = self.tolerance.equal
        pairs = [
            (" energy", got.energy / atoms, expected.energy / atoms),
            (" forces", got.forces[:atoms], expected.forces[:atoms]),
        ]
        if self.has_volume:
            pairs.append((" stress", got.stress, expected.stress))
        return [self.compare(name + what, a, b, equal) for what, a, b in pairs]

    @property
    def has_volume(self) -> bool:
        return abs(float(np.linalg.det(self.configuration.cell))) > 0.0


def _capacity(potential: Potential, configuration: Configuration) -> int:
    """Choose slots enough for nearly everything that will be asked."""
    cutoff = potential.cutoff
    wide = None if cutoff is None else cutoff * (1.0 + _WIDER)
    return host_neighbours(configuration, wide).index.shape[1] + 8


_WIDER = 0.3
"""How far, relative to the cutoff, a list with idle pairs reaches beyond it."""

_STENCIL = ((-2.0, 1.0 / 12.0), (-1.0, -2.0 / 3.0), (1.0, 2.0 / 3.0), (2.0, -1.0 / 12.0))
"""Fourth-order central difference."""


def _forces(bench: _Bench) -> list[CheckResult]:
    here, step = bench.configuration, bench.tolerance.step
    ways = bench.rng.normal(size=(4, *here.positions.shape))
    ways /= np.abs(ways).max(axis=(1, 2), keepdims=True)
    moved = [
        here._replace(positions=here.positions + t * step * way)
        for way in ways
        for t, _ in _STENCIL
    ]
    forces = bench.ask([here])[0].forces[: len(here.numbers)]
    slopes = _slopes(bench, moved) / step
    work = -np.einsum("wna,na->w", ways, forces)
    scale = len(here.numbers)
    return [bench.compare("forces", slopes / scale, work / scale, bench.tolerance.derivative)]


def _stress(bench: _Bench) -> list[CheckResult]:
    if not bench.has_volume:
        return []
    here = bench.configuration
    strains = bench.rng.normal(size=(4, 3, 3))
    strains = strains + strains.transpose(0, 2, 1)
    strains /= np.abs(strains).max(axis=(1, 2), keepdims=True)
    # An edge of the cell is stretched by as much as an atom is displaced for the forces.
    step = bench.tolerance.step / max(1.0, float(np.abs(here.cell).max()))
    strained = [
        here._replace(
            positions=here.positions @ (np.eye(3) + t * step * strain),
            cell=here.cell @ (np.eye(3) + t * step * strain),
        )
        for strain in strains
        for t, _ in _STENCIL
    ]
    volume = abs(float(np.linalg.det(here.cell)))
    expected = volume * np.einsum("wab,ab->w", strains, bench.ask([here])[0].stress)
    atoms = len(here.numbers)
    slopes = _slopes(bench, strained) / step
    return [bench.compare("stress", expected / atoms, slopes / atoms, bench.tolerance.derivative)]


def _slopes(bench: _Bench, along: Sequence[Configuration]) -> Float[np.ndarray, " ways"]:
    energies = np.array([float(p.energy) for p in bench.ask(along)])
    weights = np.array([weight for _, weight in _STENCIL])
    return energies.reshape(-1, len(weights)) @ weights


def _rotation(bench: _Bench) -> list[CheckResult]:
    here = bench.configuration
    turn = np.linalg.qr(bench.rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    turned = here._replace(positions=here.positions @ turn, cell=here.cell @ turn)
    before, after = bench.ask([here, turned])
    back = after._replace(forces=after.forces @ turn.T)
    if bench.has_volume:
        back = back._replace(stress=turn @ after.stress @ turn.T)
    return bench.same("rotation", back, before)


def _translation(bench: _Bench) -> list[CheckResult]:
    here = bench.configuration
    before, after = bench.ask(
        [here, here._replace(positions=here.positions + bench.rng.normal(size=3))]
    )
    total = np.sum(before.forces, axis=0)
    scale = float(np.abs(before.forces).max(initial=1.0))
    balance = bench.compare("forces sum to zero", total / scale, 0.0, bench.tolerance.equal)
    return [*bench.same("translation", after, before), balance]


def _permutation(bench: _Bench) -> list[CheckResult]:
    here = bench.configuration
    order = np.roll(np.arange(len(here.numbers)), 1)
    before, after = bench.ask(
        [here, here._replace(positions=here.positions[order], numbers=here.numbers[order])]
    )
    expected = before._replace(forces=before.forces[: len(order)][order])
    return bench.same("permutation", after, expected)


def _extensivity(bench: _Bench) -> list[CheckResult]:
    here = bench.configuration
    atoms = len(here.numbers)
    results = []
    for axis in np.flatnonzero(here.pbc):
        repeats = [2 if k == axis else 1 for k in range(3)]
        doubled = from_ase(to_ase(here).repeat(repeats))
        one, two = bench.ask([here, doubled])
        half = two._replace(energy=two.energy / 2.0)
        second = Properties(half.energy, two.forces[atoms : 2 * atoms], two.stress)
        for copy in (half, second):
            results += bench.same(f"doubled along {'abc'[axis]}", copy, one)
    return results


def _list(bench: _Bench) -> list[CheckResult]:
    if bench.potential.cutoff is None or np.isinf(bench.potential.cutoff):
        return []
    exact = bench.ask([bench.configuration])[0]
    wider = bench.ask([bench.configuration], skin=_WIDER * bench.potential.cutoff)[0]
    return bench.same("wider list", wider, exact)


def _smoothness(bench: _Bench, order: int) -> list[CheckResult]:
    """Let a pair cross the cutoff beside a third atom, so that triplets are there too."""
    cutoff = bench.potential.cutoff
    if cutoff is None or np.isinf(cutoff) or order == 0:
        return []
    results = []
    kinds = sorted({int(z) for z in bench.configuration.numbers})
    for first, second in combinations_with_replacement(kinds, 2):
        inside, outside = bench.ask(
            [_crossing(first, second, cutoff, side) for side in (-1.0, 1.0)], skin=0.1 * cutoff
        )
        name = f"cutoff {first}-{second}"
        jump = bench.compare(f"{name} energy", inside.energy, outside.energy, 1e-5)
        results.append(jump)
        if order > 1:
            results.append(bench.compare(f"{name} forces", inside.forces, outside.forces, 1e-3))
    return results


def _crossing(first: int, second: int, cutoff: float, side: float) -> Configuration:
    distance = cutoff * (1.0 + 1e-6 * side)
    third = 0.6 * cutoff * np.array([np.cos(1.9), np.sin(1.9), 0.0])
    return Configuration(
        positions=np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0], third]),
        cell=np.zeros((3, 3)),
        pbc=np.zeros(3, bool),
        numbers=np.array([first, second, first], np.int32),
        total_charge=np.asarray(0.0),
    )


def _padding(bench: _Bench) -> list[CheckResult]:
    here = bench.configuration
    properties = ("stress",) if bench.has_volume else ("forces",)
    exact = evaluate(bench.potential, [here], properties, closest=0.0)[0]
    padded = bench.ask([here])[0]
    felt = np.abs(padded.forces[len(here.numbers) :])
    return [
        *bench.same("padded", padded, exact),
        bench.compare("force on padding atoms", felt, 0.0, 0.0),
    ]


def _batching(bench: _Bench) -> list[CheckResult]:
    here = bench.configuration
    others = [
        here._replace(positions=here.positions + 0.01 * bench.rng.normal(size=(1, 3)) * scale)
        for scale in (0.0, 1.0)
    ]
    properties = ("stress",) if bench.has_volume else ("forces",)
    together = evaluate(bench.potential, others, properties, closest=0.0, batching="vmap")[0]
    return bench.same("vmap and loop", together, bench.ask([here])[0])


_CHECK = {
    "forces": _forces,
    "stress": _stress,
    "rotation": _rotation,
    "translation": _translation,
    "permutation": _permutation,
    "extensivity": _extensivity,
    "list": _list,
    "padding": _padding,
    "batching": _batching,
}
