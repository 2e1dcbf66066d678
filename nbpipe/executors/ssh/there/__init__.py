"""What runs on the other machine: sent as text, so it imports nothing but Python's own library and not its siblings.

Written for Python 3.8 as well: an interpreter that is too old has to be able to say so.
"""
