"""Effective harmonic potentials: thermodynamics of anharmonic crystals."""
