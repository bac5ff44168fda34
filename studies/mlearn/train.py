"""Train on one element of mlearn and judge the model on its test set where there is one.

    python studies/mlearn/train.py ELEMENT [--output FOLDER] [--hold-out 0.1] [--data FOLDER]
    mpiexec -n 2 python studies/mlearn/train.py ELEMENT --output FOLDER

The recipe is `study.toml` beside this file; only the element's files are put into it.
"""

import argparse
from pathlib import Path

import thermosearch
from thermosearch.runtime.communicator import world
from thermosearch.runtime.study import read_toml

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data" / "mlearn"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("element", choices=("Ni", "Cu", "Li", "Mo", "Si", "Ge"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--hold-out", type=float, default=0.0, help="share of the training data")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the extxyz files")
    options = parser.parse_args()

    study = read_toml(HERE / "study.toml")
    study["name"] = f"mlearn_{options.element}"
    study["data"][0]["file"] = str(options.data.resolve() / f"{options.element}_train.extxyz")
    test = options.data.resolve() / f"{options.element}_test.extxyz"
    study["test"] = [str(test)] if test.exists() else []
    study["validation"]["fraction"] = options.hold_out
    ranks = world()
    results = thermosearch.run(study, output=options.output, communicator=ranks)
    if ranks.rank != 0:
        return
    for quantity in results.quantities:
        if "group" not in quantity.conditions:
            split = quantity.conditions["split"]
            print(f"{split:12s} {quantity.name:12s} {quantity.value:9.4f} {quantity.unit}")


if __name__ == "__main__":
    main()
