"""Evidence: event packets and certificates."""
