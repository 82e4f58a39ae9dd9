"""Genome to torch module."""
