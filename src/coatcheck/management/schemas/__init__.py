"""The JSON of the management API, one module for each noun."""
