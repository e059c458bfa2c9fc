"""The message queue of this host."""
