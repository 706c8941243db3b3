"""From moments to a free energy: one file per solver, and what is read off the solution."""
