"""Docker's engine: where it is, how it is asked, and from its events and answers to observations."""
