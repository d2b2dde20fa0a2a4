"""Tools for tests of programs that extend Coatcheck. Nothing in production imports them."""
