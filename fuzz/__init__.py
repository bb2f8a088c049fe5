"""Fuzz targets for the parts without I/O, and the program that runs them (see README.md)."""
