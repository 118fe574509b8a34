"""The command line: flags to config and to a mode's options, errors to exit codes. No JAX."""
