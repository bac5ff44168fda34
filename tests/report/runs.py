"""Tiny run folders, written by hand as the engines write them, and a strict reader of pages."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import ase.io
import h5py
import numpy as np
from ase import Atoms

VOID = {"meta", "input", "br", "img", "wbr"}


def dimer_slab(length: float = 2.3, lift: float = 0.0) -> Atoms:
    """One dimer on four atoms of a cell that repeats in two directions."""
    positions = [[0.5, 0.5, 5.0], [0.5 + length, 0.5, 5.0 + lift], [1.9, 2.3, 3.6], [1.9, 6.1, 3.6]]
    atoms = Atoms("Si4", positions, cell=[7.68, 7.68, 15.0], pbc=[True, True, False])
    atoms.set_array("dimer", np.array([0, 0, -1, -1]))
    return atoms


def quantity(name: str, value: float, error: float | None, unit: str, **conditions: str) -> dict:
    return {
        "name": name,
        "value": value,
        "error": error,
        "unit": unit,
        "conditions": conditions,
    }


def search_run(folder: Path, **results: object) -> Path:
    (folder / "structures").mkdir(parents=True)
    ase.io.write(folder / "structures/best.extxyz", dimer_slab(lift=0.6), format="extxyz")
    minima = [dimer_slab(2.4), dimer_slab(2.6)]
    ase.io.write(folder / "structures/minima.extxyz", minima, format="extxyz")
    place = "structures/minima.extxyz"
    members = [
        {"file": place, "index": k, "label": f"member {k}", "member": k, "dimer_length_A": 2.3 + k}
        for k in (0, 1)
    ]
    content = {
        "schema": 1,
        "engine": "search",
        "status": "finished",
        "seed": 11,
        "ranks": 2,
        "wall_s": 200.2,
        "evaluations": 12345,
        "quantities": [
            quantity("surface_energy", 1.2834, 0.0213, "J/m^2", phase="reconstructed"),
            quantity("dimer_length", 2.3012, 0.0093, "A"),
        ],
        "structures": [
            {
                "file": "structures/best.extxyz",
                "index": 0,
                "label": "best structure",
                "energy_eV": -321.123456,
                "surface_energy_J_per_m2": 1.2834,
                "spread_J_per_m2": 0.02,
            },
            *members,
        ],
    }
    (folder / "results.json").write_text(json.dumps(content | results))
    with h5py.File(folder / "results.h5", "w") as file:
        file["convergence/label"], file["convergence/unit"] = "surface energy", "J/m^2"
        for seed in range(3):
            group = file.create_group(f"convergence/seed_{seed}")
            group["calls"] = np.array([10, 20, 30, 40])
            group["energy"] = np.array([np.nan, 2.0, 1.5 + 0.1 * seed, 1.25 + 0.1 * seed])
            group["generation_energy"] = np.array([[np.nan, 3.0], [2.0, 2.2], [1.9, 1.6], [1.5, 2]])
            group["sigma"] = np.array([0.3, 0.2, 0.1, 0.05])
    write_study(folder, "search")
    return folder


def train_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    content = {
        "schema": 1,
        "engine": "train",
        "status": "finished",
        "quantities": [
            quantity("energy_mae", 0.9, None, "meV/atom", split="train"),
            quantity("energy_mae", 1.92, None, "meV/atom", split="test_Si"),
            quantity("force_mae", 0.0543, None, "eV/A", split="test_Si"),
            quantity("energy_mae", 3.75, None, "meV/atom", split="test_Si", group="Surface"),
        ],
        "structures": [],
    }
    (folder / "results.json").write_text(json.dumps(content))
    with h5py.File(folder / "results.h5", "w") as file:
        for split, count in (("train", 30), ("test_Si", 2000)):
            reference = rng.normal(0.0, 2.0, count)
            file[f"parity/{split}/force_reference"] = reference
            file[f"parity/{split}/force_predicted"] = reference + 0.1
            file[f"parity/{split}/force_spread"] = rng.uniform(0.05, 0.2, count)
        file["learning/mean/epoch"] = np.arange(1, 6)
        file["learning/mean/loss_train"] = np.array([5.0, 3.0, 2.0, 1.0, 0.5])
        file["learning/mean/force_mae_validation"] = np.array([0.5, 0.3, 0.2, 0.1, np.nan])
    write_study(folder, "train")
    return folder


def write_study(folder: Path, kind: str) -> None:
    (folder / "study.toml").write_text(f'kind = "{kind}"\n[run]\nseed = 11\n')
    (folder / "study.resolved.json").write_text('{"run": {"precision": "float32"}}')
    (folder / "run.json").write_text('{"versions": {"numpy": "9.8.7"}}')
    (folder / "run.log").write_text("first line\nlast line\n")


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, tag: str) -> list["Element"]:
        own = [self] if self.tag == tag else []
        return own + [found for child in self.children for found in child.all(tag)]

    def walk(self) -> list["Element"]:
        return [self] + [found for child in self.children for found in child.walk()]

    def full_text(self) -> str:
        return self.text + "".join(child.full_text() for child in self.children)


class Page(HTMLParser):
    """Tree of a page; an element that is not closed, or closed twice, is an error."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document", {})
        self.open = [self.root]
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == [self.root], f"not closed: {[each.tag for each in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs), f"an attribute stands twice in {tag}"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"{self.open[-1].tag} is closed by {tag}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data

    def by_id(self, identifier: str) -> Element:
        found = [e for e in self.root.walk() if e.attributes.get("id") == identifier]
        assert len(found) == 1, f"{len(found)} elements are called {identifier}"
        return found[0]

    def section_ids(self) -> list[str | None]:
        return [each.attributes.get("id") for each in self.root.all("section")]
