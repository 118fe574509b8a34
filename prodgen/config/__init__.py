"""Everything about the config: fields, checks, fingerprints and the names that it may choose.

fields: one row per field. rules, lookup: what a row is, and how to find one. overrides: how
fields are set. constraints: combinations of fields that are refused. identity: fingerprints and
what a continued run may change. registry: all names that may be chosen. renames: names of older
versions. Nothing here imports JAX.
"""

from prodgen.config.data_fields import RESOLUTIONS
from prodgen.config.fields import FIELDS, build_default_config
from prodgen.config.identity import (
    NEW_FIELD_DEFAULTS,
    compute_fingerprint,
    find_changeable_fields,
    find_differences,
    load_config,
    restore_config,
)
from prodgen.config.lookup import flatten, is_read, refuse_unread_fields
from prodgen.config.overrides import apply_preset, parse_value, set_field, validate

__all__ = [
    "FIELDS", "NEW_FIELD_DEFAULTS", "RESOLUTIONS", "apply_preset", "build_default_config",
    "find_changeable_fields", "find_differences", "compute_fingerprint", "flatten", "is_read",
    "load_config", "parse_value", "refuse_unread_fields", "restore_config",
    "set_field", "validate",
]  # fmt: skip
