"""thermosearch: the structures materials adopt, and the temperatures and pressures at which."""

import jax

# Once, before anything is traced: energies, enthalpies and contours are held in float64, and
# every array states its own dtype.
jax.config.update("jax_enable_x64", True)
