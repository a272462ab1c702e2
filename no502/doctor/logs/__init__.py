"""``no502 doctor logs``: which message of the catalogue each line is, and what happened.

``reading`` gives lines, ``parse`` takes them apart, ``findings`` classifies and counts, ``access`` pairs with the
access log, ``timeline`` joins by time and process, ``report`` prints, ``cli`` is the command.
"""
