#!/bin/bash
# Slurm script of this study: sbatch studies/hafnia/slurm.sh (from the repository, after the training)
#
# Five minutes before the time limit Slurm sends SIGTERM; the run then finishes its step, writes
# its checkpoint and exits with 75, and this script puts itself in the queue again. The numbers do not
# depend on how many ranks or how many jobs it takes.
#SBATCH --job-name=hafnia
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=16
#SBATCH --cpus-per-task=1
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x_%j.out

KIND=harmonic
STUDY=studies/hafnia/study.toml
OUTPUT=runs/hafnia_phases       # the run folder, the same for all jobs of the chain

# The environment thermosearch is installed in, and the cluster's MPI, for example:
# module load openmpi
# source "$HOME/thermosearch/bin/activate"

# Compilations are kept here, on a file system that all nodes see.
export THERMOSEARCH_CACHE="${THERMOSEARCH_CACHE:-$HOME/.cache/thermosearch}"

srun thermosearch "$KIND" "$STUDY" --output "$OUTPUT" --resume
code=$?
if [ "$code" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
