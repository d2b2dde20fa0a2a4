"""Access to PostgreSQL: connections, transactions, queries, partitions."""
