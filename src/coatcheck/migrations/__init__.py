"""The schema's history, each step plain SQL, and how to walk it."""
