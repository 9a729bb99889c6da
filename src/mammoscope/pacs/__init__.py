"""The PACS side: fetch or receive mammograms, analyse them, send results back, and lose nothing on the way.

``store`` holds the queue, ``steps`` works it off, ``worker`` analyses; ``dicomweb``, ``watch``, ``dimse``,
``receiver`` and ``commitment`` talk to other systems; ``service`` puts them together.
"""
