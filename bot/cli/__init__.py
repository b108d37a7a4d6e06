"""The command line: one verb a function, thin over what the rest of the program can do.

Modules of this package import click and the standard library only; whatever costs time (pydantic, the
database, HTTP) is imported inside the verb that needs it, so that `--help` answers at once.
"""
