"""Reads banks through a SimpleFIN server, with a setup token of the end user. docs/how-to/connect-simplefin.md."""
