"""Labelled catalogues and queries that benchmarks measure search on."""
