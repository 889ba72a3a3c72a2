"""Room `database`: the tables, their migrations and the ledger."""
