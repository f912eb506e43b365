"""Redis as Mooring uses it: one stream of facts, and the catalog that is always its fold."""
