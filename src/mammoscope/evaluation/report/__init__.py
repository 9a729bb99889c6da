"""How measured figures are written down and drawn."""
