"""What servers are reached with, sealed: grants, texts, and a new key for all of them."""
