"""The networks, in torch: one architecture, one file. Needs the ``train`` extra."""
