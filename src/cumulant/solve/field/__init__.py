"""The free field on function space: conditioned on rows, its metric adapted by the evidence, several mixed."""
