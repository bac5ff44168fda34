"""Structures: CMA-ES with local relaxation over the atoms of a surface, many seeds, archive."""

from thermosearch.search.execute import execute
from thermosearch.search.study import SearchStudy

__all__ = ["SearchStudy", "execute"]
