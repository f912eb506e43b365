"""What drives a registry from what it holds to what is wanted; one module for each kind of registry."""
