"""What is measured, as pure functions with intervals."""
