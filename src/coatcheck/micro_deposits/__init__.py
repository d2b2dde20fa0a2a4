"""Verification of an account by two small deposits."""
