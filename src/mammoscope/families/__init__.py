"""The networks, in torch: one file for each architecture. Needs the ``train`` extra."""
