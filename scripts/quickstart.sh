#!/usr/bin/env bash
# From nothing to a result: installs into .venv, lets the shipped silicon force field search the
# Si(001) reconstruction, and says where the report is. Each time into a new run folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/install.sh
number=1
while [ -e "$(printf 'runs/silicon_001_%03d' "$number")" ]; do number=$((number + 1)); done
folder="$(printf 'runs/silicon_001_%03d' "$number")"
.venv/bin/thermosearch search studies/silicon_001/study.toml --output "$folder" "$@"
echo
echo "The report: $PWD/$folder/report.html (open it in a browser)"
