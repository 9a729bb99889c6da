"""The PACS side: fetch or receive mammograms, analyse them, send results back, and lose nothing on the way.

``image_queue`` holds the images, ``transitions`` works them off, ``analyser`` analyses; ``dicomweb``, ``watch``,
``dimse``, ``receiver`` and ``commitment`` talk to other systems; ``service`` puts them together.
"""
