"""Training of neural potentials: batches, losses, optimiser, loop."""
