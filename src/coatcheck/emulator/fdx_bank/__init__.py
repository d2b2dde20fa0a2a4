"""The sandbox bank as a provider of the Financial Data Exchange (FDX 6). docs/reference/sandbox-fdx.md explains it."""
