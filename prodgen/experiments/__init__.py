"""Studies: ablations that others can run again, from one file to a table with intervals."""
