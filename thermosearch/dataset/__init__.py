"""Reference data: five file formats in, one convention inside (eV, A, stress as in ASE)."""

from thermosearch.dataset.frames import Dataset, Frame
from thermosearch.dataset.read import read_dataset

__all__ = ["Dataset", "Frame", "read_dataset"]
