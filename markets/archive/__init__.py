"""The archive of facts: kept in Parquet by month, imported from tables, and served again as a source."""
