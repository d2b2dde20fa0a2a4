"""Request and answer schemas of MX's API, one module for each resource: structs, and functions that fill them."""
