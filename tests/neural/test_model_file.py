"""Model files: what is written is read, and nothing else is."""

import io
import json
import pickle
from pathlib import Path

import jax
import numpy as np
import pytest

from thermosearch.neural import model_file
from thermosearch.neural.config import ModelConfig
from thermosearch.neural.model import NeuralPotential
from thermosearch.runtime.errors import InputError


@pytest.fixture(scope="module")
def model() -> NeuralPotential:
    config = ModelConfig(elements=("Si", "O"), n_max=2, l_max=1, radial=(2, 2), widths=(4,))
    return NeuralPotential.initial(config, jax.random.key(0))


@pytest.fixture
def path(tmp_path: Path, model: NeuralPotential) -> Path:
    about = {"licence": "Apache-2.0", "data": [{"file": "a.extxyz"}]}
    model_file.save(tmp_path / "m.npz", model, about, {"parity/test/energy": np.arange(3.0)})
    return tmp_path / "m.npz"


def test_round_trip(path: Path, model: NeuralPotential) -> None:
    found = model_file.load_file(path)
    assert found.model.config == model.config
    assert jax.tree.structure(found.model) == jax.tree.structure(model)
    for a, b in zip(jax.tree.leaves(found.model), jax.tree.leaves(model), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert found.about["licence"] == "Apache-2.0"
    np.testing.assert_array_equal(found.arrays["parity/test/energy"], [0.0, 1.0, 2.0])


def test_header_states_what_a_reader_needs(path: Path) -> None:
    with np.load(path, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
    assert header["schema"] == model_file.SCHEMA
    assert header["elements"] == ["Si", "O"]
    assert header["cutoff_A"] == 5.0
    assert header["units"] == {"energy": "eV", "length": "A"}


def test_truncated(path: Path) -> None:
    data = path.read_bytes()
    for length in (0, 1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        refused(path)


def test_any_altered_byte_is_seen_or_harmless(path: Path, model: NeuralPotential) -> None:
    """A flipped bit is refused, unless it lies where the archive keeps no content."""
    data = path.read_bytes()
    expected = jax.tree.leaves(model)
    seen = 0
    for position in np.random.default_rng(0).integers(len(data), size=60):
        changed = bytearray(data)
        changed[position] ^= 0x10
        path.write_bytes(bytes(changed))
        try:
            found = jax.tree.leaves(model_file.load(path))
        except InputError as error:
            assert "\n" not in str(error)
            seen += 1
        else:
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)
    assert seen > 20


def test_altered_array_with_a_valid_archive(path: Path) -> None:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = next(k for k in arrays if k.endswith("networks.output"))
    arrays[name] = arrays[name] + np.float32(1e-3)
    np.savez(path, **arrays)
    refused(path, "altered")


def test_foreign_files(tmp_path: Path, path: Path) -> None:
    other = tmp_path / "other.npz"
    refused(tmp_path / "absent.npz", "absent.npz")
    other.write_text("hello")
    refused(other, "not a model file")
    np.savez(other, a=np.zeros(3))
    refused(other, "no header")
    np.savez(other, header=np.frombuffer(b'{"format": "other"}', np.uint8))
    refused(other, "not a model file")
    header = json.dumps({"format": model_file.FORMAT, "schema": 99}).encode()
    np.savez(other, header=np.frombuffer(header, np.uint8))
    refused(other, "schema 99")


def test_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (pytest.fail, ("the pickle was opened",))

    stream = io.BytesIO()
    pickle.dump(Trap(), stream)
    (tmp_path / "m.npz").write_bytes(stream.getvalue())
    refused(tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", allow_pickle=True, header=np.array([Trap()], dtype=object))
    refused(tmp_path / "m.npz")


def refused(path: Path, match: str | None = None) -> None:
    with pytest.raises(InputError, match=match) as caught:
        model_file.load(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
