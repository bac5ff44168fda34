"""All moves, by the names that studies give them."""

from thermosearch.nested.moves.all_atoms import AllAtomsMove
from thermosearch.nested.moves.atom import AtomMove
from thermosearch.nested.moves.galilean import GalileanMove
from thermosearch.nested.moves.hamiltonian import HamiltonianMove
from thermosearch.nested.moves.identity import IdentityMove
from thermosearch.nested.moves.interface import Move
from thermosearch.nested.moves.shear import ShearMove
from thermosearch.nested.moves.stretch import StretchMove
from thermosearch.nested.moves.swap import SwapMove
from thermosearch.nested.moves.volume import VolumeMove

MOVES: dict[str, type[Move]] = {
    "atom": AtomMove,
    "all_atoms": AllAtomsMove,
    "galilean": GalileanMove,
    "hamiltonian": HamiltonianMove,
    "volume": VolumeMove,
    "shear": ShearMove,
    "stretch": StretchMove,
    "swap": SwapMove,
    "identity": IdentityMove,
}
