"""Run one job over many items: a ``job`` says what is done, a ``backend`` how it is run."""
