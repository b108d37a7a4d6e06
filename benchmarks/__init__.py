"""Measurements against the bare client libraries, in the same run. `make bench`; results in README.md beside this."""
