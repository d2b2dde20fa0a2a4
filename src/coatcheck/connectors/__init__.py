"""Banks: each connector reads one kind of bank, and knows nothing of the database or the API."""
