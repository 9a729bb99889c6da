"""The built-in steps of the chain, one module each, and the protocol that other steps have to meet."""
