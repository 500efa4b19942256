"""Calls that wait until a person has allowed them, each for exactly what was asked."""
