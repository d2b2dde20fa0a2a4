"""What clients are told: events stored with what caused them, and delivered, signed, until they arrive."""
