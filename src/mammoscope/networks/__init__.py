"""The networks, in torch. Needs the ``train`` extra."""
