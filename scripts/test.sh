#!/usr/bin/env bash
# Installs into .venv what the tests need and runs them; arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/install.sh test,mpi-local
exec .venv/bin/python -m pytest "$@"
