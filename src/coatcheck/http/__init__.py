"""What the pages that people see have in common."""
