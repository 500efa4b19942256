"""What calls that follow searches say: which search that was, and what is counted of it."""
