"""The dashboard: the pages of the staff of the operator, of clients and of processors."""
