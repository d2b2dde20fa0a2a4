"""What is proven: who did what, appended in the transaction that did it, and never changed."""
