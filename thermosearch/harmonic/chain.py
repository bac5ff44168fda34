"""What a study runs: one phase at one pressure, its temperatures one after the other."""

from dataclasses import dataclass

from thermosearch.harmonic.crystal import Crystal
from thermosearch.harmonic.prepare import Prepared
from thermosearch.harmonic.study import HarmonicStudy
from thermosearch.potentials.interface import Potential
from thermosearch.runtime.context import RunContext


@dataclass(frozen=True)
class Chain:
    """Points that start from one another.

    Attributes
    ----------
    crystal : Crystal
        The phase.
    prepared : Prepared
        Where its first point begins.
    pressure : float
        GPa.
    temperatures : tuple of float
        K, in the order they are taken.
    """

    crystal: Crystal
    prepared: Prepared
    pressure: float
    temperatures: tuple[float, ...]


@dataclass(frozen=True)
class Campaign:
    """All that the points of a study share.

    Attributes
    ----------
    study : HarmonicStudy
        What was asked.
    potential : Potential
        Of the study.
    chains : tuple of Chain
        Phases times pressures.
    context : RunContext
        Ranks, checkpoints, log.
    """

    study: HarmonicStudy
    potential: Potential
    chains: tuple[Chain, ...]
    context: RunContext
