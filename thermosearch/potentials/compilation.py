"""Where XLA may fuse: functions compiled apart from what surrounds them.

On a CPU, XLA fuses elementwise work into every loop that uses it, repeats it there, and bends
the loop to the shape of what comes next, so that it no longer vectorises. A function compiled
apart is a loop of its own over arrays in memory.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def compiled_apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep XLA from inlining a function of arrays into its surroundings.

    Parameters
    ----------
    function : callable
        From pytrees of arrays to a pytree of arrays.

    Returns
    -------
    callable
        The same function, differentiable as before. On an accelerator nothing is kept apart.
    """
    compiled = jax.jit(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        if jax.default_backend() != "cpu":
            return function(*arguments)
        with set_xla_metadata(inlineable="false"):
            return compiled(*arguments)

    return call


def stage(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function apart, and its reverse pass, which starts from the arguments again.

    For elementwise work that costs less to repeat than to keep.

    Parameters
    ----------
    function : callable
        From arrays to a pytree of arrays; what it needs beside them bound to it.

    Returns
    -------
    callable
        The same function, differentiable in reverse to any order.
    """

    def reverse(arguments: tuple[Any, ...], by_results: Any) -> tuple[Any, ...]:
        return jax.vjp(function, *arguments)[1](by_results)

    forward = compiled_apart(function)
    staged = jax.custom_vjp(forward)
    staged.defvjp(lambda *arguments: (forward(*arguments), arguments), compiled_apart(reverse))
    return staged
