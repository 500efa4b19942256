"""Measuring embedders."""
