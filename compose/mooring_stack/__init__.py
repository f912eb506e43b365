"""Mooring's whole pipeline as plain processes of one machine."""
