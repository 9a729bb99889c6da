"""How a trained network of each role becomes a step of a bundle, and what is fitted on validation patients."""
