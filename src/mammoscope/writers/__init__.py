"""What leaves: JSON, pictures, tables."""
