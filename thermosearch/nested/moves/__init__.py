"""The moves of a walk, one a file; each leaves the prior under a contour as it is."""
