"""What a model says, and what it cost: tables, pictures, the ledger."""
