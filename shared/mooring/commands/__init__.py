"""The commands that only read the stream: they come with discover and with the proxy, and know neither."""
