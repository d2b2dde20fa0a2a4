"""Members: the connections of users to institutions, from the request to the data that a connector reads.

This package writes the tables of members, their jobs and OAuth states, and of what jobs read: accounts, transactions
and statements. Other packages read them through `model`, or call the functions here to write.
"""
