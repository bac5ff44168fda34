"""What a neural potential is made of: every choice a field, the whole of it JSON."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from ase.data import atomic_numbers, chemical_symbols

from thermosearch.neural.repulsion import covalent_radius


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a `NeuralPotential`; everything else about it is a parameter.

    Attributes
    ----------
    elements : tuple of str
        Chemical symbols the model knows, in the order of its per-element parameters.
    cutoff : float
        Radius of the atomic environment, A.
    basis : {"bessel"}
        Radial basis: orthonormal spherical-Bessel functions (Kocer, Mason, Erturk 2020).
    n_max, l_max : int
        Radial functions g_{n-l,l} with l <= l_max and l <= n <= n_max.
    channels : int
        Length of the learned vector of an element by which its atoms are weighted as
        neighbours; without effect in a one-element model.
    radial : tuple of int or None
        Number of learned radial functions for l = 0 ... l_max, each a linear combination of the
        g_{n-l,l} (and of the channels); None takes the g_{n-l,l} of every channel as they are.
    smoothness : float or None
        The i-th radial function of each l is damped by 1 / (1 + (i / smoothness)^2) before it is
        mixed, so that a finite set of data is explained by slowly varying functions first (the
        smoothness prior of Witt et al., J. Chem. Phys. 159, 164101 (2023),
        10.1063/5.0158783). None: no damping.
    angular_smoothness : float or None
        Normalised invariants of total angular momentum L (2 l of a power spectrum, l1 + l2 + l3
        of a coupling) are damped by 1 / (1 + (L / angular_smoothness)^2): the same prior for
        the angles. None: no damping.
    cross : int
        Power spectrum p_{qq'l} = sum_m c_qlm c_q'lm for 0 <= q' - q <= cross; 0 is the
        diagonal alone.
    scalars : {"linear", "squared"}
        Whether l = 0 enters as c_q00 itself (a pair term) or as its power spectrum.
    feature_bound : float or None
        Normalised features x (deviation 1 on the training data) reach the networks as
        x / sqrt(1 + (x / feature_bound)^2), so that far outside the data, where features grow
        with the square of the density, the learned energy stays finite and the repulsion wins.
        None: as they are.
    couplings : tuple of (l1, l2, l3)
        Four-body invariants sum G c_{q l1 m1} c_{q l2 m2} c_{q l3 m3} with the real Gaunt
        coefficients G; l1 + l2 + l3 is even.
    coupling_channels : int
        Four-body invariants are formed for the first so many radial functions q.
    core : {"pyramid", "residual"}
        Swish layers of the given widths in sequence, or (equal widths) added to their input.
    widths : tuple of int
        Neurons of the hidden layers.
    members : int
        Networks of the committee.
    descriptors : int
        Sets of learned radial functions; each describes the atoms for its share of the members.
        One costs least; more make the members differ in what they see, and so their mean more
        accurate and their spread more telling.
    precision : {"float32", "float64"}
        Of everything between pair vectors and atomic energies.
    repulsion : tuple of float or None
        The Ziegler-Biersack-Littmark repulsion is switched off smoothly between these two
        multiples of the sum of covalent radii, within the cutoff; None leaves it out.
    """

    elements: tuple[str, ...]
    cutoff: float = 5.0
    basis: Literal["bessel"] = "bessel"
    n_max: int = 7
    l_max: int = 5
    channels: int = 4
    radial: tuple[int, ...] | None = None
    smoothness: float | None = None
    angular_smoothness: float | None = None
    cross: int = 0
    scalars: Literal["linear", "squared"] = "linear"
    feature_bound: float | None = None
    couplings: tuple[tuple[int, int, int], ...] = ()
    coupling_channels: int = 4
    core: Literal["pyramid", "residual"] = "pyramid"
    widths: tuple[int, ...] = (64, 32, 16)
    members: int = 1
    descriptors: int = 1
    precision: Literal["float32", "float64"] = "float32"
    repulsion: tuple[float, float] | None = (0.35, 0.7)

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(problem)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Atomic numbers of the elements."""
        return tuple(atomic_numbers[symbol] for symbol in self.elements)

    @property
    def radial_counts(self) -> tuple[int, ...]:
        """Radial functions q of each l in one descriptor."""
        if self.radial is not None:
            return self.radial
        channels = self.channels if len(self.elements) > 1 else 1
        return tuple(channels * (self.n_max - l + 1) for l in range(self.l_max + 1))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary of lists, strings and numbers."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "ModelConfig":
        """Inverse of `to_json`.

        Raises
        ------
        ValueError
            For a field that is not known or has a value that makes no model.
        """
        unknown = set(fields) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise ValueError(f"unknown model fields: {', '.join(sorted(unknown))}")
        return cls(**{name: _as_tuple(value) for name, value in fields.items()})


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_as_tuple(item) for item in value)
    return value


def _problems(config: ModelConfig) -> list[str]:
    """List what makes the fields no model, one line each."""
    found = _committee_problems(config)
    wrong = [symbol for symbol in config.elements if symbol not in chemical_symbols[1:]]
    if wrong or not config.elements or len(set(config.elements)) < len(config.elements):
        found.append(f"elements must be different chemical symbols, got {config.elements}")
    if not config.cutoff > 0.0:
        found.append(f"cutoff must be positive, got {config.cutoff}")
    if not 0 <= config.l_max <= config.n_max:
        found.append(f"0 <= l_max <= n_max is needed, got {config.l_max}, {config.n_max}")
    if config.radial is not None and len(config.radial) != config.l_max + 1:
        found.append(f"radial needs l_max + 1 = {config.l_max + 1} numbers, got {config.radial}")
    if min(config.channels, config.members, *config.widths) < 1 or config.cross < 0:
        found.append("channels, members and widths must be positive, cross not negative")
    for name in ("smoothness", "angular_smoothness", "feature_bound"):
        if getattr(config, name) is not None and not getattr(config, name) > 0.0:
            found.append(f"{name} must be positive, got {getattr(config, name)}")
    if config.core == "residual" and len(set(config.widths)) != 1:
        found.append(f"a residual core has equal widths, got {config.widths}")
    for triple in config.couplings:
        if sum(triple) % 2 or max(triple) > config.l_max or 2 * max(triple) > sum(triple):
            found.append(f"coupling {triple} vanishes or exceeds l_max = {config.l_max}")
        elif config.coupling_channels > min(config.radial_counts[l] for l in triple):
            found.append(f"coupling {triple} has too few radial functions for coupling_channels")
    if not wrong and config.repulsion is not None:
        found += _repulsion_problems(config, config.repulsion)
    return found


def _repulsion_problems(config: ModelConfig, switch: tuple[float, float]) -> list[str]:
    inner, outer = switch
    if not 0.0 < inner < outer:
        return [f"repulsion needs 0 < inner < outer, got {switch}"]
    reach = 2.0 * outer * max((covalent_radius(z) for z in config.numbers), default=0.0)
    if reach > config.cutoff:
        return [
            f"repulsion = {switch} reaches to {reach:.2f} A, beyond the cutoff of "
            f"{config.cutoff:g} A, where it would end in a jump"
        ]
    return []


def _committee_problems(config: ModelConfig) -> list[str]:
    found = []
    if config.descriptors < 1 or config.members % config.descriptors:
        found.append(f"members = {config.members} do not divide into {config.descriptors} parts")
    if config.descriptors > 1 and config.radial is None:
        found.append("descriptors = 2 or more differ in learned radial functions: give `radial`")
    return found
