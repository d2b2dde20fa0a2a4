"""MX's dialect v20111101, complete. Its keys are exact: MX's Java SDK refuses any that it does not know."""
