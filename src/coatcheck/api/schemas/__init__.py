"""Request and answer schemas of MX's API, one module a noun: the structs, and the functions that fill them."""
