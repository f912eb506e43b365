"""The drivers: each applies a routing table to what carries the bytes."""
