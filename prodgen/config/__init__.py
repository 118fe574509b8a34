"""What a config may say. No JAX.

fields: one row a field. overrides: setting them. constraints: what does not go together. identity:
fingerprints and continuing. registry: every name that may be chosen. renames: older versions.
"""

from prodgen.config.fields import (
    FIELDS,
    RESOLUTIONS,
    default_config,
    flatten,
    is_read,
    refuse_unread,
)
from prodgen.config.identity import ADDED, differences, fingerprint, load, may_change
from prodgen.config.overrides import parse, preset, put, validate

__all__ = [
    "ADDED", "FIELDS", "RESOLUTIONS", "default_config", "differences", "fingerprint", "flatten",
    "is_read", "load", "may_change", "parse", "preset", "put", "refuse_unread", "validate",
]  # fmt: skip
