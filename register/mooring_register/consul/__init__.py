"""What instances come to in a Consul agent, and who may write there for a host."""
