"""Upstream servers of the cluster: each in one process, and reached from all."""
