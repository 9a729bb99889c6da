"""How a trained network of each role becomes a step of a bundle, and what of it is fitted on validation patients."""
