"""How every engine runs: MPI, run folder, checkpoint, study file, progress; no physics."""
