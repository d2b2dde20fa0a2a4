"""The route table, one module for each group of endpoints. The server and the documentation are built from it."""
