"""The ledger's migrations, run by `open_ledger`; nothing here is called by hand."""
