"""From the stream of facts to a routing table, and from there to connections."""
