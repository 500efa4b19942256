"""A query, read: its clauses, words, language and vectors."""
