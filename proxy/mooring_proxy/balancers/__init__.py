"""The policies by which a pool picks a backend; each is pure and one file."""
