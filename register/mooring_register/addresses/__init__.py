"""Where a container is reached, and under which address its host."""
