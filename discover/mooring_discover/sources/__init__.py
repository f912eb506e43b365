"""The registries that discover can follow, one module each."""
