"""How figures fall where images get worse."""
