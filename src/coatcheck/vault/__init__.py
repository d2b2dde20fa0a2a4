"""Secrets and personal data, sealed at rest, and the disclosure of every read."""
