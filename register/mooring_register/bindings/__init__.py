"""What a container says that it consumes. Pure."""
