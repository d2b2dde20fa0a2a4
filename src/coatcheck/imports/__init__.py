"""Imports of statement files: what a file brought, and taking it back."""
