"""False-positive reduction."""
