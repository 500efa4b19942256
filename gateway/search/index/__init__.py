"""The index that searches run on: in memory, in PostgreSQL with pgvector, all by the same contract."""
