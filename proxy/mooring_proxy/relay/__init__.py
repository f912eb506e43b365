"""What carries the bytes of the relay driver: listeners, and the connections that they relay, on Twisted."""
