"""HTTP/2 written for measuring (RFC 9113): frames in, answers out, without I/O; sockets are moved elsewhere.

The server is told to keep no header table, so the same answer has the same bytes each time but for its stream's number:
it is compared whole, as HTTP/1.1's is, and read only when it differs.
"""
