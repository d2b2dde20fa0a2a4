"""The audit log: an entry for each change of state, written in the transaction of the change and never modified."""
