"""Reads European banks through Enable Banking, with an application of the operator's own."""
