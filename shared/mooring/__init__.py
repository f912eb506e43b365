"""Mooring's vocabulary: the values, facts, wire forms and key names that register, discover and proxy share."""
