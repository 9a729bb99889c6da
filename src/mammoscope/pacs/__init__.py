"""The PACS side: fetch or receive mammograms, analyse them, and send results back, without loss.

``image_queue`` holds the images, ``transitions`` processes them, ``analyser`` analyses; ``peers.dicomweb``, ``watch``,
``dimse``, ``receiver`` and ``commitment`` talk to other systems; ``service`` puts them together.
"""
