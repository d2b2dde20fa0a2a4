"""Reads institutions that speak the API of the Financial Data Exchange (FDX 6). docs/reference/connector-fdx.md."""
