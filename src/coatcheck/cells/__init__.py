"""Cells: several databases, each with all that belongs to its users."""
