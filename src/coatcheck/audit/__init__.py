"""The audit log: who did what to what, written in the transaction that did it and never changed."""
