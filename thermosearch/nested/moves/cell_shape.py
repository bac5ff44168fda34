"""Shared by the moves of the cell's shape."""

from jaxtyping import Float

from thermosearch.configuration import Array
from thermosearch.nested.measures import to_cartesian, to_fractional
from thermosearch.nested.moves.interface import Proposal, propose
from thermosearch.nested.walker import System, Walker


def propose_cell(
    system: System, walker: Walker, cell: Float[Array, "3 3 *w"], limit: Float[Array, "*w"]
) -> Proposal:
    """Propose another cell of equal volume; atoms keep their fractional places."""
    fractional = to_fractional(walker.positions, walker.cell)
    moved = walker._replace(positions=to_cartesian(fractional, cell), cell=cell)
    return propose(walker, moved, limit, system.measure.holds_cell(cell))
