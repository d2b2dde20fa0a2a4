"""The API that is compatible with MX's."""
