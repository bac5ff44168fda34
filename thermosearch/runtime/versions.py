"""What the numbers of a run depend on besides the study: packages and processor."""

import importlib.metadata
import platform
from pathlib import Path

_PACKAGES = (
    *("thermosearch", "numpy", "scipy", "jax", "jaxlib", "equinox", "optax", "ase", "phonopy"),
    *("spglib", "cma", "vesin", "h5py", "pydantic", "mpi4py"),
)


def versions() -> dict[str, str]:
    """Versions of everything the numbers depend on, and the machine."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found | {"machine": f"{platform.system()} {platform.machine()}, {cpu_model()}"}


def cpu_model() -> str:
    """Name of the processor."""
    lines = _cpu_lines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def cpu_flags() -> str:
    """Instruction sets of the processor, which compiled code depends on."""
    flags = [line for line in _cpu_lines() if line.startswith(("flags", "Features"))]
    return flags[0].partition(":")[2].strip() if flags else ""


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
