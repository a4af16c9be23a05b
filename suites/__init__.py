"""Suites that come with kdbench (installed as the package ``kdbench_suites``)."""
