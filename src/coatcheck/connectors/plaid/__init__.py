"""Reads banks through Plaid, with the operator's own contract and keys."""
