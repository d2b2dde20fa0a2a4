"""The tables of the dashboard's pages, one module for each kind of organisation."""
