"""A potential of one's own, as `docs/potentials.md` shows one, named in a study."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import thermosearch
from thermosearch.configuration import from_ase
from thermosearch.potentials.check import check_potential
from thermosearch.potentials.evaluate import evaluate
from thermosearch.potentials.interface import Potential
from thermosearch.potentials.section import PotentialSection
from thermosearch.runtime.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "potentials.md"


@pytest.fixture(autouse=True)
def morse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's class as the module `morse`, with a function and a thing that is none."""
    (code,) = re.findall(r"```python\n(from typing.*?)```", PAGE.read_text(), re.DOTALL)
    more = "\n\ndef shallow():\n    return Morse(depth=0.1)\n\n\ndef nothing():\n    return 1.0\n"
    (tmp_path / "morse.py").write_text(code + more)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "morse", raising=False)


def made(**section: object) -> Potential:
    return PotentialSection.model_validate(section).build()


@pytest.mark.parametrize(
    ("section", "depth"),
    [
        ({"jax": "morse:Morse", "parameters": {"depth": 0.4}}, 0.4),
        ({"jax": "morse:shallow"}, 0.1),
    ],
)
def test_the_energy_of_a_dimer_is_the_equation_s(section: dict, depth: float) -> None:
    dimer = from_ase(Atoms("Ar2", [[0.0, 0.0, 0.0], [1.5, 0.0, 0.0]]))
    (found,) = evaluate(made(**section), [dimer], ("energy",))
    well = (1.0 - np.exp(1.0 - 1.5)) ** 2 - 1.0
    np.testing.assert_allclose(found.energy, depth * well * (1.0 - (1.5 / 6.0) ** 2) ** 3)


def test_it_passes_the_public_check() -> None:
    crystal = bulk("Cu", cubic=True)
    crystal.rattle(0.05, seed=1)
    potential = made(jax="morse:Morse", parameters={"depth": 0.4})
    check_potential(potential, from_ase(crystal)).raise_if_failed()


def test_an_engine_samples_it(tmp_path: Path) -> None:
    study = {
        "kind": "nested",
        "potential": {"jax": "morse:Morse", "parameters": {"depth": 0.4}},
        "system": {"composition": {"Ar": 2}, "sphere": {"radius": 2.0, "about": "fixed_centre"}},
        "method": {"walkers": 16, "culled": 4, "rounds": 2, "stop": {"iterations": 30}},
        "analysis": {"temperatures": [300.0, 900.0, 3], "draws": 20, "quenched": 0},
    }
    results = thermosearch.run(study, output=tmp_path / "run", quiet=True)
    lowest = min(results.arrays["dead/p0_r0/energy"])
    assert -0.4 < lowest < -0.2


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"jax": "morse"}, "jax = 'morse': write \"package.module:Name\""),
        ({"jax": "morse:Moose"}, "jax = 'morse:Moose': cannot be imported: .*Moose"),
        ({"jax": "no_such_module:Morse"}, "cannot be imported: No module named 'no_such_module'"),
        ({"jax": "morse:nothing"}, "'morse:nothing': gives a float, not a thermosearch Potential"),
        ({"jax": "morse:Morse", "parameters": {"width": 1}}, "wrong parameters {'width': 1}"),
        ({"jax": "morse:Morse", "arguments": {"depth": 1}}, "arguments belong to an ase"),
        ({"jax": "morse:Morse", "model": "silicon"}, "exactly one of .* \\(given: model, jax\\)"),
    ],
)
def test_what_is_wrong_with_it_is_said(section: dict, message: str) -> None:
    with pytest.raises((InputError, ValueError), match=message):
        made(**section)
