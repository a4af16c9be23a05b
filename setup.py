"""Packages, found rather than listed: pyproject.toml alone cannot find packages whose folder has another name."""

from setuptools import find_packages, setup

FOLDERS = {"kdbench": "kdbench", "kdbench_methods": "methods", "kdbench_suites": "suites"}

setup(
    package_dir=FOLDERS,
    packages=[
        name for top, folder in FOLDERS.items() for name in (top, *(f"{top}.{inner}" for inner in find_packages(folder)))
    ],
)
