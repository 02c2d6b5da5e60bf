"""From the bytes of a document to its texts under their headings: one file a format.

Each has a ``parse(content, limits)``. They run in a process of their own (``__main__``), for
documents come from anywhere and the libraries that read them are large.
"""
