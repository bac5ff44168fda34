import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from thermosearch.nested import streams
from thermosearch.nested.streams import Stream, bits, fold, normal, stream, symmetric, threefry


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers_of_random123(
    counter: tuple[int, int], key: tuple[int, int], expected: tuple[int, int]
) -> None:
    words = [jnp.asarray(word, jnp.uint32) for word in (*counter, *key)]
    found = threefry(Stream(words[2], words[3]), words[0], words[1])
    assert tuple(int(word) for word in found) == expected


def test_numbers_have_their_distributions() -> None:
    key = stream(jnp.asarray(7, jnp.uint32), 1)
    between = np.asarray(symmetric(key, (50_000,)))
    assert stats.kstest((between + 1) / 2, "uniform").pvalue > 1e-3
    assert stats.kstest(np.asarray(normal(fold(key, 1), (50_000,))), "norm").pvalue > 1e-3


def test_symmetric_numbers_have_mirror_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proposal is symmetric only if -x can be drawn wherever x can."""
    words = jnp.asarray([0, 2**32 - 1, 5, 2**32 - 6], jnp.uint32)
    monkeypatch.setattr(streams, "bits", lambda key, count: words)
    drawn = np.asarray(symmetric(stream(jnp.asarray(7, jnp.uint32), 1), (4,)))
    assert drawn[0] == -drawn[1] and drawn[2] == -drawn[3] and -1.0 < drawn[0] < drawn[2]


def test_streams_of_different_walkers_are_unrelated() -> None:
    seed = jnp.asarray(3, jnp.uint32)
    rows = [np.asarray(bits(stream(seed, i, j), 64)) for i in range(8) for j in range(8)]
    assert len(np.unique(np.concatenate(rows))) == 64 * 64


def test_a_stream_does_not_depend_on_its_companions() -> None:
    together = stream(jnp.asarray(5, jnp.uint32), jnp.arange(4, dtype=jnp.uint32))
    alone = stream(jnp.asarray(5, jnp.uint32), 2)
    assert np.array_equal(bits(together, 7)[:, 2], bits(alone, 7))
