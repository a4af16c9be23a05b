"""Faults injected at random: hostile folders, damaged files, absurd suites, misbehaving plugins, signals.

Each family is a module with a constant ``NAME`` and a function ``cases``. A test runs a few of its cases;
``python benchmarks/inject_faults.py`` runs hundreds, and writes the figures to docs/reliability.md.
"""
