"""thermosearch: the structures materials adopt, and the temperatures and pressures at which."""

import os
import sys
from importlib import import_module
from typing import Any

from thermosearch.runtime.devices import claim_threads

claim_threads()

# Once, before anything is traced: energies, enthalpies and contours are held in float64, and
# every array states its own dtype. By the environment, so that `thermosearch --help` need not
# pay a second for importing JAX; by the config where JAX is there already.
os.environ["JAX_ENABLE_X64"] = "true"
# Products of float32 matrices keep all their digits: a GPU would round the factors to ten bits.
os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)
    sys.modules["jax"].config.update("jax_default_matmul_precision", "highest")

# XLA reports an error for every compilation it reads from a cache on processors for which LLVM
# has tuning preferences ("+prefer-no-gather is not supported"): a false alarm, because our cache
# is kept apart by processor, and pages of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_PUBLIC = {
    "Configuration": "thermosearch.configuration",
    "InputError": "thermosearch.runtime.errors",
    "Results": "thermosearch.runtime.results",
    "check_potential": "thermosearch.potentials.check",
    "evaluate": "thermosearch.potentials.evaluate",
    "from_ase": "thermosearch.configuration",
    "hessian": "thermosearch.potentials.hessian",
    "load_potential": "thermosearch.potentials.registry",
    "read_dataset": "thermosearch.dataset",
    "run": "thermosearch.launch",
    "to_ase": "thermosearch.configuration",
}

__all__ = sorted(_PUBLIC)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'thermosearch' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
