"""What every other package may use: no JAX, no files of a run."""
