"""How instances stand in a registry: which keys they have, and what these hold. Pure."""
