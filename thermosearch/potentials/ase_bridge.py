"""ASE in both directions: any calculator as a potential, any potential as a calculator."""

import logging
import subprocess
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    Calculator,
    CalculatorError,
    PropertyNotImplementedError,
    all_changes,
)
from jaxtyping import Float

from thermosearch.configuration import PADDING, Array, Configuration, from_ase, to_ase, validate
from thermosearch.potentials.evaluate import bucket, committee_spread
from thermosearch.potentials.interface import (
    Neighbours,
    Potential,
    Properties,
    energy,
    energy_forces,
    energy_forces_stress,
    refuse_without_spread,
)
from thermosearch.potentials.neighbours_host import (
    host_neighbours,
    refuse_negative_skin,
    widen,
)
from thermosearch.runtime.children import without_launcher_variables

_log = logging.getLogger(__name__)


class CalculatorPotential(Potential):
    """Any ASE calculator as a potential, by a callback to the host.

    Works inside jit, scan and `evaluate`; slow, one configuration at a time. One call of the
    calculator gives energy and forces; the stress is asked for only where the cell is
    differentiated. A calculator that itself runs JAX may deadlock inside a jitted function.

    Parameters
    ----------
    calculator : ase calculator
        Kept by reference.
    on_failure : {"raise", "nan"}
        What happens when the calculator fails: an error with its message, or NaN everywhere and
        a warning in the log, so that an engine rejects the configuration.
    """

    batches: ClassVar[bool] = False
    calculator: BaseCalculator = eqx.field(static=True)
    on_failure: Literal["raise", "nan"] = eqx.field(static=True, default="raise")
    cutoff: float | None = eqx.field(static=True, default=None, init=False)
    elements: tuple[int, ...] | None = eqx.field(static=True, default=None, init=False)
    units: Literal["eV", "reduced"] = eqx.field(static=True, default="eV", init=False)

    def energy(self, configuration: Configuration, neighbours: Neighbours) -> Float[Array, ""]:
        """Total energy by the calculator, its forces and stress as the derivative."""
        return _differentiable(self, configuration.positions, configuration.cell, configuration)

    def ask(self, want: Sequence[str], configuration: Configuration) -> tuple[np.ndarray, ...]:
        """Call the calculator on the host.

        Parameters
        ----------
        want : sequence of {"energy", "forces", "stress"}
        configuration : Configuration
            With padding or without.

        Returns
        -------
        tuple of numpy arrays
            (), (n, 3) and (3, 3) as wanted; forces are zero on padding atoms.
        """
        atoms = to_ase(configuration)
        real = np.asarray(configuration.numbers) != PADDING
        try:
            # A code that finds the launcher's variables would wait for ranks it does not have.
            with without_launcher_variables():
                found = [self._one(name, atoms) for name in want]
        except _FAILURES as error:
            reason = str(error) or type(error).__name__
            message = f"ASE calculator {type(self.calculator).__name__} failed: {reason}"
            if self.on_failure == "raise":
                raise RuntimeError(message) from error
            _log.warning("%s: NaN is used", message)
            found = [np.full(_shape(name, len(atoms)), np.nan) for name in want]
        if "forces" in want:
            place = list(want).index("forces")
            forces = np.zeros((len(real), 3))
            forces[real] = found[place]
            found[place] = forces
        return tuple(found)

    def _one(self, name: str, atoms: Atoms) -> np.ndarray:
        value = np.asarray(self.calculator.get_property(name, atoms), np.float64)
        if name == "stress" and value.shape == (6,):
            xx, yy, zz, yz, xz, xy = value
            return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return value


_FAILURES = (
    CalculatorError,
    PropertyNotImplementedError,
    RuntimeError,
    ValueError,
    ArithmeticError,
    OSError,
    subprocess.SubprocessError,
    np.linalg.LinAlgError,
)


def _shape(name: str, atoms: int) -> tuple[int, ...]:
    return {"energy": (), "forces": (atoms, 3), "stress": (3, 3)}[name]


@jax.custom_vjp
def _differentiable(
    potential: CalculatorPotential,
    positions: Float[Array, "n 3"],
    cell: Float[Array, "3 3"],
    configuration: Configuration,
) -> Float[Array, ""]:
    placed = configuration._replace(positions=positions, cell=cell)
    return _callback(potential, ("energy",), placed)[0]


def _forward(potential: Any, positions: Any, cell: Any, configuration: Any) -> tuple[Any, Any]:
    """Ask for the stress too if the cell is differentiated, which symbolic zeros show."""
    want = ("energy", "forces", "stress") if cell.perturbed else ("energy", "forces")
    plain = _values(configuration)._replace(positions=positions.value, cell=cell.value)
    value, forces, *stress = _callback(_values(potential), want, plain)
    by_cell = _by_cell(plain, forces, stress[0]) if stress else jnp.zeros_like(plain.cell)
    return value, (forces, by_cell)


def _values(tree: Any) -> Any:
    return jax.tree.map(
        lambda leaf: leaf.value, tree, is_leaf=lambda leaf: hasattr(leaf, "perturbed")
    )


def _backward(residuals: Any, by_energy: Any) -> tuple[Any, ...]:
    forces, by_cell = residuals
    if isinstance(by_energy, jax.custom_derivatives.SymbolicZero):
        return None, None, None, None
    return None, -forces * by_energy, by_cell * by_energy, None


_differentiable.defvjp(_forward, _backward, symbolic_zeros=True)


def _by_cell(
    configuration: Configuration, forces: Float[Array, "n 3"], stress: Float[Array, "3 3"]
) -> Float[Array, "3 3"]:
    """dE/dh from sigma V = r^T dE/dr + h^T dE/dh."""
    cell = configuration.cell
    volume = jnp.abs(jnp.linalg.det(cell))
    return jnp.linalg.solve(cell.T, volume * stress + configuration.positions.T @ forces)


def _callback(
    potential: CalculatorPotential, want: tuple[str, ...], configuration: Configuration
) -> Sequence[Array]:
    atoms = configuration.positions.shape[0]
    shapes = tuple(jax.ShapeDtypeStruct(_shape(name, atoms), np.float64) for name in want)

    def on_host(*fields: Any) -> tuple[np.ndarray, ...]:
        return potential.ask(want, Configuration(*(np.asarray(field) for field in fields)))

    return jax.pure_callback(on_host, shapes, *configuration, vmap_method="sequential")


def to_calculator(
    potential: Potential, *, skin: float = 0.5, uncertainty: bool = False
) -> "PotentialCalculator":
    """Make an ASE calculator of a potential.

    Parameters
    ----------
    potential : Potential
        Of any kind; "reduced" units are passed on as they are.
    skin : float
        The neighbour list reaches this far beyond the cutoff and is kept until an atom moved
        half of it, A.
    uncertainty : bool
        Put a committee's spread into `results` with every energy: `energy_std` (eV) and
        `forces_std` (n,) (eV/A). It costs an evaluation of every member.

    Raises
    ------
    InputError
        If the spread is asked of a potential without members, or the skin is negative.
    """
    return PotentialCalculator(potential, skin=skin, uncertainty=uncertainty)


class PotentialCalculator(Calculator):
    """ASE calculator on a potential; made by `to_calculator`."""

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, potential: Potential, *, skin: float, uncertainty: bool) -> None:
        super().__init__()
        refuse_without_spread(potential, {"uncertainty": uncertainty})
        refuse_negative_skin(skin)
        self.potential = potential
        self.skin = skin
        self.uncertainty = uncertainty
        self._listed: Configuration | None = None
        self._neighbours: Neighbours | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill `results` with what is asked for (the energy comes with everything)."""
        super().calculate(atoms, properties, system_changes)
        configuration = from_ase(self.atoms)
        neighbours = self._refreshed(configuration)
        if "stress" in properties:
            if self.atoms.cell.volume == 0.0:
                raise PropertyNotImplementedError("stress: the cell has no volume")
            entry = energy_forces_stress
        else:
            entry = energy_forces if "forces" in properties else energy
        found: Properties = jax.device_get(_run(entry, self.potential, configuration, neighbours))
        self.results = {"energy": float(found.energy), "free_energy": float(found.energy)}
        if found.forces is not None:
            self.results["forces"] = np.array(found.forces)
        if found.stress is not None:
            self.results["stress"] = np.asarray(found.stress)[
                [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
            ]
        if self.uncertainty:
            spread = _run(committee_spread, self.potential, configuration, neighbours)
            self.results["energy_std"] = float(spread.energy)
            self.results["forces_std"] = np.array(spread.forces)

    def _refreshed(self, configuration: Configuration) -> Neighbours:
        """Keep the list while it is complete, else make it anew, never narrower."""
        if self._neighbours is None or not self._still_complete(configuration):
            validate(configuration, elements=self.potential.elements, closest=_closest(self))
            cutoff = self.potential.cutoff
            made = host_neighbours(configuration, None if cutoff is None else cutoff + self.skin)
            narrow = made.index.shape[1]
            same = self._neighbours is not None and len(self._neighbours.index) == len(made.index)
            before = self._neighbours.index.shape[1] if same else 0
            capacity = before if narrow <= before else bucket(narrow + narrow // 8, smallest=8)
            self._neighbours = widen(made, capacity)
            self._listed = configuration
        return self._neighbours

    def _still_complete(self, configuration: Configuration) -> bool:
        listed = self._listed
        same = len(listed.numbers) == len(configuration.numbers) and all(
            np.array_equal(getattr(listed, name), getattr(configuration, name))
            for name in ("numbers", "cell", "pbc")
        )
        if not same:
            return False
        moved = np.linalg.norm(configuration.positions - listed.positions, axis=1)
        return bool(moved.max(initial=0.0) <= 0.5 * self.skin)


def _closest(calculator: PotentialCalculator) -> float:
    """Overlap is refused as in `evaluate`: only where atoms interact."""
    return 0.0 if calculator.potential.cutoff is None else 0.1


@eqx.filter_jit
def _run(
    entry: Any, potential: Potential, configuration: Configuration, neighbours: Neighbours
) -> Any:
    return entry(potential, configuration, neighbours)
