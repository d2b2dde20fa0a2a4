"""Tools for tests: of connectors, and of programs that call Coatcheck. Nothing in production imports them."""
