"""Engines that propose structures: side by side in one study, by one protocol."""

from thermosearch.search.engines.basin_hopping import BasinHopping
from thermosearch.search.engines.cma import CmaSearch
from thermosearch.search.engines.interface import Engine, Setup
from thermosearch.search.engines.minima_hopping import MinimaHopping
from thermosearch.search.engines.random_search import RandomSearch

__all__ = ["ENGINES", "Engine", "Setup"]

ENGINES: dict[str, type[Engine]] = {
    "cma": CmaSearch,
    "random": RandomSearch,
    "basin_hopping": BasinHopping,
    "minima_hopping": MinimaHopping,
}
"""By the name in the study; the order is that of their random streams, so add at the end."""
