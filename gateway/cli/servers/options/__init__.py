"""Options that several commands about servers have, and what they are read as."""
