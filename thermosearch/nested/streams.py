"""Random numbers that belong to a walker: counter-based, and cheap beside each other.

Threefry-2x32 with 20 rounds (J. K. Salmon et al., SC '11, DOI 10.1145/2063384.2063405), as in
`jax.random`, whose lowering on CPU is a loop over small kernels: with one key a walker it took
more time than the energies of a small cluster. Written out, it fuses into one.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt32

from thermosearch.configuration import Array

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
FOR_NUMBERS, FOR_STREAMS = 0, 1


class Stream(NamedTuple):
    """Keys of sequences of random numbers, one a walker; numbers drawn get that axis last."""

    first: UInt32[Array, "*w"]
    second: UInt32[Array, "*w"]


def stream(
    seed: UInt32[Array, ""], *identity: Int[Array, "..."] | UInt32[Array, "..."] | int
) -> Stream:
    """Stream of a seed and the integers that single out what it is for."""
    found = Stream(jnp.asarray(seed, jnp.uint32), jnp.zeros((), jnp.uint32))
    for number in identity:
        found = fold(found, number)
    return found


def fold(key: Stream, number: Int[Array, "..."] | UInt32[Array, "..."] | int) -> Stream:
    """Another stream for every integer, independent of this one's numbers."""
    return Stream(*threefry(key, jnp.asarray(number).astype(jnp.uint32), _word(FOR_STREAMS)))


def bits(key: Stream, count: int) -> UInt32[Array, " count *w"]:
    """Draw that many random words from every stream."""
    half = (count + 1) // 2
    counters = jnp.arange(half, dtype=jnp.uint32).reshape(half, *[1] * key.first.ndim)
    words = threefry(key, counters, _word(FOR_NUMBERS))
    return jnp.concatenate(words)[:count]


def symmetric(key: Stream, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Uniform numbers in (-1, 1), float64 on a grid of 2^-31 that mirrors onto itself."""
    words = bits(key, int(np.prod(shape))).astype(jnp.float64)
    return (words * 2.0**-31 + (2.0**-32 - 1.0)).reshape(*shape, *key.first.shape)


def uniform(key: Stream, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
    """Uniform numbers in (0, 1), float64 on a grid of 2^-32; neither 0 nor 1 among them."""
    words = bits(key, int(np.prod(shape))).astype(jnp.float64)
    return ((words + 0.5) * 2.0**-32).reshape(*shape, *key.first.shape)


def normal(key: Stream, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw standard normal numbers (Box and Muller)."""
    count = int(np.prod(shape))
    pairs = uniform(key, (2, (count + 1) // 2))
    radius, angle = jnp.sqrt(-2.0 * jnp.log(pairs[0])), (2.0 * np.pi) * pairs[1]
    both = jnp.concatenate((radius * jnp.cos(angle), radius * jnp.sin(angle)))
    return both[:count].reshape(*shape, *key.first.shape)


def threefry(
    key: Stream, first: UInt32[Array, "..."], second: UInt32[Array, "..."]
) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """Two random words for every pair of counter words."""
    keys = (key.first, key.second, key.first ^ key.second ^ _word(PARITY))
    x, y = first + keys[0], second + keys[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            y = (y << _word(rotation)) | (y >> _word(32 - rotation))
            y = y ^ x
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + _word(group + 1)
    return x, y


def _word(number: int) -> UInt32[Array, ""]:
    return jnp.asarray(number, jnp.uint32)
