#!/usr/bin/env bash
# From nothing to a result: installs into .venv, lets the shipped silicon force field search the
# Si(001) reconstruction, and says where the report is. Each time into a new run folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/install.sh
.venv/bin/thermosearch search studies/silicon_001/study.toml "$@"
