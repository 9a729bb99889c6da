"""The probe: a synthetic exam is sent through a running service, and the link that is broken is named.

``exam`` makes it, ``peers`` are the systems at both ends, ``line`` sees why one of them cannot be reached, ``service``
what the service between them says, ``run`` goes through the chain.
"""
