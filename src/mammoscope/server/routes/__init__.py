"""The paths of the application, one room a kind of thing."""
