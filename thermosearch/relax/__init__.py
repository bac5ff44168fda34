"""Batched local relaxation and molecular dynamics on any potential."""
