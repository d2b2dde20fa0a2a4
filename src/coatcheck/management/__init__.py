"""Coatcheck's own API below `/coatcheck`: what MX's API does not have."""
