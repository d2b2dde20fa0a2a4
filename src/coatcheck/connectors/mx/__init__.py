"""Reads banks through another installation that speaks MX's Platform API: MX itself, or Coatcheck."""
