"""`modelgate doctor`: whether what the gateway needs is in order, and what to do where it is not."""
