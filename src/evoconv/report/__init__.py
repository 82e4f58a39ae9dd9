"""Stored study to tables and figures."""
