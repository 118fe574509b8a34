"""A run as files for other programs: weights, programs, cards."""
