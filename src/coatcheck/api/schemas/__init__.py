"""Every request and answer as JSON, in both of MX's dialects; nothing else in the house knows JSON bodies."""
