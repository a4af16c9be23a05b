"""The Python interface: run a suite, load its results, use a trained student.

Notebooks and the command line both call it.
"""
