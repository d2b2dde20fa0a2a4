"""The nouns and their owner-scoped look-ups; no decisions."""
