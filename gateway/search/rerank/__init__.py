"""Reranking: a larger model puts the best tools of the index in its own order, within a budget."""
