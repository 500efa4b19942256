"""Calls that a server answers with a task: waited for, or handed on to clients that know tasks (SEP-2663)."""
