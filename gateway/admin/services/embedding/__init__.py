"""Embedding spaces, the models behind them, and how two compare."""
