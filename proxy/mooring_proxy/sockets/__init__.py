"""Listening sockets that proxies of one host share: who holds them, who wants them, and when they are let go."""
