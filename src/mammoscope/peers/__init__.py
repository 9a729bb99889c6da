"""Other systems, asked over DICOMweb: by whom, within which bounds, and what can go wrong with them.

``dicomweb`` searches, fetches and stores; ``bounded_http`` keeps every answer within bounds; ``multipart``,
``json_answers``, ``stow`` and ``file_start`` read what comes, whatever it is; ``listing`` reads searches to their
end, and ``found`` is what they find.
"""
