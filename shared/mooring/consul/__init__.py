"""Consul: the services and checks of an agent, and its store of keys and values."""
