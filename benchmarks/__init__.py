"""Measurements of cumulant beside its peers; ``python -m benchmarks --help``."""
