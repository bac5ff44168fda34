"""Results: one shape, finite numbers, read back as written."""

import io
import json
import math
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np
import pytest

from thermosearch.runtime.results import Quantity, Results, read_results, to_json
from thermosearch.runtime.run_folder import to_hdf5


def test_shape_of_results_json() -> None:
    results = Results(
        "search",
        "finished",
        [Quantity("surface_energy", 1.3, 0.1, "J/m^2", {"phase": "2x1"})],
        [{"file": Path("structures/best.extxyz"), "index": 0, "energy_eV": np.float64(-3.5)}],
        evaluations=12,
        warnings=["outside the training data"],
    )
    assert json.loads(to_json(results, seed=3, ranks=2, wall_s=1.23456)) == {
        "schema": 1,
        "engine": "search",
        "status": "finished",
        "seed": 3,
        "ranks": 2,
        "wall_s": 1.235,
        "evaluations": 12,
        "quantities": [
            {
                "name": "surface_energy",
                "value": 1.3,
                "error": 0.1,
                "unit": "J/m^2",
                "conditions": {"phase": "2x1"},
            }
        ],
        "structures": [{"file": "structures/best.extxyz", "index": 0, "energy_eV": -3.5}],
        "warnings": ["outside the training data"],
    }


def test_results_are_read_back_exactly(tmp_path: Path) -> None:
    written = Results("train", "stopped", (Quantity("a", 0.1 + 0.2, None, "1"),), ({"i": 1},), 5)
    path = tmp_path / "results.json"
    path.write_text(to_json(written, seed=0, ranks=1, wall_s=0.0))
    assert read_results(path) == written


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_no_result(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Quantity("energy", value, None, "eV")
    with pytest.raises(ValueError, match="error of energy"):
        Quantity("energy", 1.0, value, "eV")


def test_nan_in_a_structures_entry_is_refused() -> None:
    results = Results("search", "finished", (), ({"energy_eV": math.nan},))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(results, seed=0, ranks=1, wall_s=0.0)


def test_arrays_groups_and_text_in_hdf5() -> None:
    arrays = {
        "convergence/seed_0/energy": np.arange(3.0),
        "convergence/seed_0/calls": jnp.arange(3),
        "convergence/unit": "J/m^2 at 300 K, Ångström",
        "parity/test/group": np.array(["bulk", "slab"]),
    }
    with h5py.File(io.BytesIO(to_hdf5(arrays))) as file:
        assert file["convergence/seed_0/energy"][:].tolist() == [0.0, 1.0, 2.0]
        assert file["convergence/seed_0/calls"].dtype == np.int64
        assert file["convergence/unit"].asstr()[()] == "J/m^2 at 300 K, Ångström"
        assert file["parity/test/group"].asstr()[:].tolist() == ["bulk", "slab"]
