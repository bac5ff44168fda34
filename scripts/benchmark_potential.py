"""Time of a model per atom over sizes and batch widths, beside LAMMPS where it is installed."""

import sys

from thermosearch.neural.benchmark import benchmark

if __name__ == "__main__":
    for line in benchmark(sys.argv[1] if len(sys.argv) > 1 else "silicon"):
        print(line, flush=True)
