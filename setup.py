"""The packages of the wheel; pyproject.toml has all else."""

from setuptools import find_packages, setup

setup(
    # The configs of the checkout lie inside the package, which adds one name to site-packages.
    packages=[*find_packages(include=["prodgen*"]), "prodgen.configs", "prodgen.configs.studies"],
    package_dir={"prodgen.configs": "configs"},
)
