"""Sessions that one process holds and others answer in: what they know of them, how their clients are told things."""
