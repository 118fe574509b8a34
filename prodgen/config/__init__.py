"""What a config may say. No JAX.

fields: one row a field; rules, lookup: what a row is, and asking for one. overrides: setting
fields. constraints: what does not go together. identity: fingerprints and continuing. registry:
every name that may be chosen. renames: what older versions wrote.
"""

from prodgen.config.fields import FIELDS, RESOLUTIONS, default_config
from prodgen.config.identity import ADDED, differences, fingerprint, load, may_change
from prodgen.config.lookup import flatten, is_read, refuse_unread
from prodgen.config.overrides import parse, preset, put, validate

__all__ = [
    "ADDED", "FIELDS", "RESOLUTIONS", "default_config", "differences", "fingerprint", "flatten",
    "is_read", "load", "may_change", "parse", "preset", "put", "refuse_unread", "validate",
]  # fmt: skip
