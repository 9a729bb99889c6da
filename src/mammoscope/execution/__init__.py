"""Run one job over many items: ``job`` says what is done, a ``backend`` who does it."""
