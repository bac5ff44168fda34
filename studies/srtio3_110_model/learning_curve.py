"""Errors on slabs not trained on against the number of slabs trained on.

    python studies/srtio3_110_model/learning_curve.py OUTPUT_FOLDER [50 100 200 405]

trains a smaller model than that of `study.toml` on ever more slabs, drawn over the range of
energies, judges each on all the others, and draws `learning_curve.svg`. A folder that holds some
of the runs goes on.
"""

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

import thermosearch
from thermosearch.runtime.study import read_toml

HERE = Path(__file__).resolve().parent
SLABS = 450
NNFF1 = {"energy_mae": 2.18, "force_mae": 0.084}
"""Wanzenboeck et al., Digit. Discov. 1, 703 (2022): trained on 3000 other slabs."""


def main(output: str, *counts: str) -> None:
    errors = {
        int(count): train(int(count), Path(output)) for count in counts or (50, 100, 200, 405)
    }
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    units = {"energy_mae": "energy MAE (meV/atom)", "force_mae": "force MAE (eV/A)"}
    for axes, (name, label) in zip(figure.subplots(1, 2), units.items(), strict=True):
        for split in ("validation", "train"):
            axes.loglog(
                list(errors), [each[split, name] for each in errors.values()], "o-", label=split
            )
        axes.axhline(NNFF1[name], color="grey", linestyle=":", label="NNFF1, 3000 slabs")
        axes.set_xlabel("slabs trained on")
        axes.set_ylabel(label)
        axes.set_xticks(list(errors), [str(count) for count in errors])
        axes.xaxis.set_minor_locator(NullLocator())
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.savefig(Path(output) / "learning_curve.svg")
    print("slabs", *next(iter(errors.values())))
    for count, each in errors.items():
        print(count, *(f"{value:.4f}" for value in each.values()))


def train(count: int, output: Path) -> dict[tuple[str, str], float]:
    """Errors by (split, name) of a training on `count` slabs."""
    study = read_toml(HERE / "study.toml")
    study["data"][0]["file"] = str((HERE / study["data"][0]["file"]).resolve())
    # A quarter of the cost: what counts here is how errors fall.
    study["model"] |= {"cutoff": 5.0, "n_max": 10, "members": 4, "descriptors": 1}
    study["validation"]["fraction"] = 1.0 - count / SLABS
    folder = output / f"{count}_slabs"
    thermosearch.run(study, output=folder, resume=folder.exists())
    return {
        (each["conditions"]["split"], each["name"]): each["value"]
        for each in json.loads((folder / "results.json").read_text())["quantities"]
        if each["name"] in NNFF1 and "group" not in each["conditions"]
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
