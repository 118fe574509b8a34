"""The complete default config, of which the experiments change a few fields.

prodgen/config/fields.py defines every field with its default, rule and help; docs/configs.md lists
them in a table.
"""

from ml_collections import ConfigDict

from prodgen.config import build_default_config


def get_config() -> ConfigDict:
    """Every field at its default, locked: setting an unknown field raises an error."""
    return build_default_config()
