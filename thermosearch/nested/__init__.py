"""Nested sampling: partition functions of atomistic systems, from nothing but an energy."""
