"""Tools beside tools: which are near in meaning, which do the same, and what groups of them are about."""
