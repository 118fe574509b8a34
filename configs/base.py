"""The complete config of defaults. Experiments change a few fields of it.

prodgen/config/fields.py holds every field with its default, rule and help; docs/configs.md shows
them as a table.
"""

from ml_collections import ConfigDict

from prodgen.config import build_default_config


def get_config() -> ConfigDict:
    """Every field at its default, locked: an unknown field is an error, not a new field."""
    return build_default_config()
