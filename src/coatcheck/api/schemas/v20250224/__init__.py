"""MX's dialect v20250224: only what it says otherwise than v20111101."""
