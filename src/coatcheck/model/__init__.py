"""Records, the queries for an owner's records, StrEnums and MX's tables. No rules and no writes.

Each table is written by one package: `directory` (clients, processors, users), `members`, `micro_deposits`, `grants`,
`events`, `audit` or `vault`.
"""
