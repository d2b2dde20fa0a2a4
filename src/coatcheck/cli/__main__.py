"""`python -m coatcheck.cli` is `coatcheck`."""

from coatcheck.cli.main import main

main()
