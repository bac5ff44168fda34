"""Surface free energies against temperature, pressure and chemical potential."""
