"""From the containers of one host to documents in a registry, under a lease."""
