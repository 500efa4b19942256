"""Many processes, one catalogue: who is there, who owns what, and how they reach each other."""
