#!/usr/bin/env bash
# From nothing to a result: installs into .venv, lets the shipped silicon force field search the
# Si(001) reconstruction and then sample silicon's phases at two pressures, and says where the
# report of both is. Each time into a new folder. With arguments: the search alone, with these.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/install.sh
thermosearch=.venv/bin/thermosearch
surface=studies/silicon_001/study.toml
phases=studies/silicon_phase_diagram/quick.toml
if [ $# -gt 0 ]; then
    exec $thermosearch search $surface "$@"
fi

number=1
while [ -e "runs/quickstart_$number" ]; do number=$((number + 1)); done
folder="runs/quickstart_$number"
$thermosearch search $surface --output "$folder/silicon_001"

# Sampling stops after seven minutes, where a machine is too slow for it, and can be taken up again.
code=0
$thermosearch nested $phases --output "$folder/silicon_phases" --walltime 420 || code=$?
if [ $code -eq 75 ]; then
    echo "go on with: $thermosearch nested $phases --output $folder/silicon_phases --resume"
elif [ $code -ne 0 ]; then
    exit $code
fi
echo "report of both:"
$thermosearch report "$folder/silicon_001" --with "$folder/silicon_phases"
