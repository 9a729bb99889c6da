"""What every network of one role shares in training."""
