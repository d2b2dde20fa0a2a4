"""Statement files: a connector that reads files which a bank gave to its customer, instead of the bank itself."""
