"""`mooring explain`: why a container is registered as it is, or why it is not."""
