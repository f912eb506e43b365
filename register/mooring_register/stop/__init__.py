"""`mooring stop`: let a container go only when nothing new comes to it and what was open has ended."""
