#!/usr/bin/env bash
# Installs into .venv what the tests need and runs them; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/install.sh test,mpi-local
# A file a worker at a time, one thread each: compiling takes most of the time. TEST_WORKERS=0 for none.
exec env NPROC=1 .venv/bin/python -m pytest --numprocesses "${TEST_WORKERS:-2}" --dist loadfile "$@"
