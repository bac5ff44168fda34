"""What a run gives: numbers with errors and units, structures, arrays; one shape for all."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

SCHEMA = 1

Condition = str | int | float | bool
Status = Literal["finished", "stopped"]


@dataclass(frozen=True)
class Quantity:
    """One number of a run.

    Attributes
    ----------
    name : str
        In the field's terms, "surface_energy".
    value : float
        Finite.
    error : float or None
        One standard error (or the committee's spread); None where there is none.
    unit : str
        "J/m^2"; "1" for a pure number.
    conditions : mapping
        What it holds at: {"T_K": 300.0, "phase": "diamond"}.
    """

    name: str
    value: float
    error: float | None
    unit: str
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"{self.name} is {self.value}: only finite numbers are results")
        if self.error is not None and not (math.isfinite(self.error) and self.error >= 0.0):
            raise ValueError(f"the error of {self.name} is {self.error}")


@dataclass(frozen=True)
class Results:
    """What an engine hands back.

    Attributes
    ----------
    engine : str
        The study's kind, "search".
    status : {"finished", "stopped"}
        "stopped" runs go on with `--resume`.
    quantities : sequence of Quantity
        Every number of the run.
    structures : sequence of mapping
        One a structure: {"file": "structures/best.extxyz", "index": 0, ...}.
    evaluations : int
        Energy evaluations spent.
    arrays : mapping of str to array or str
        What goes to `results.h5` (curves, populations); a `/` in a name makes a group.
    warnings : sequence of str
        What the reader must know before trusting a number; the report shows them on top.
    """

    engine: str
    status: Status
    quantities: tuple[Quantity, ...] | list[Quantity] = ()
    structures: tuple[Mapping[str, Any], ...] | list[Mapping[str, Any]] = ()
    evaluations: int = 0
    arrays: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] | list[str] = ()


def to_json(results: Results, *, seed: int, ranks: int, wall_s: float) -> str:
    """Make the text of `results.json`."""
    content = {
        "schema": SCHEMA,
        "engine": results.engine,
        "status": results.status,
        "seed": seed,
        "ranks": ranks,
        "wall_s": round(wall_s, 3),
        "evaluations": int(results.evaluations),
        "quantities": [asdict(quantity) for quantity in results.quantities],
        "structures": [dict(structure) for structure in results.structures],
        "warnings": list(results.warnings),
    }
    return json.dumps(content, indent=1, allow_nan=False, default=_plain) + "\n"


def read_results(path: Path) -> Results:
    """Read `results.json` back (its arrays stay in `results.h5`)."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        engine=content["engine"],
        status=content["status"],
        quantities=tuple(Quantity(**quantity) for quantity in content["quantities"]),
        structures=tuple(content["structures"]),
        evaluations=content["evaluations"],
        warnings=tuple(content["warnings"]),
    )


def _plain(value: Any) -> Any:
    """JSON form of what numpy and JAX hand out."""
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    raise TypeError(f"{type(value).__name__} cannot be written to JSON")
