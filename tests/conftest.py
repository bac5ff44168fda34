"""Shared test set-up: shapes and types checked at run time, strict dtype promotion."""

from jaxtyping import install_import_hook

install_import_hook("thermosearch", "beartype.beartype")

from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import pytest  # noqa: E402

import thermosearch  # noqa: E402, F401

jax.config.update("jax_numpy_dtype_promotion", "strict")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the reference data; the test is skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the reference data (../shared) is not beside this checkout")
    return SHARED
