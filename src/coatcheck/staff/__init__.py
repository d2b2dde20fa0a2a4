"""Staff of the operator, of clients and of processors: who they are, how they sign in, and their sessions."""
