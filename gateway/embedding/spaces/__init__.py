"""The embedding spaces: which serves, which is filled, which stands by, and which answers in which language."""
