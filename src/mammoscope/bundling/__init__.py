"""From finished trainings to a model bundle. Needs the ``train`` extra, except ``recalibrate``."""
