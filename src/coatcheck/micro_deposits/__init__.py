"""Verification of an account by two small deposits. Writes the table `micro_deposit`."""
