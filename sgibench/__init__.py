"""sgibench compares Python's WSGI and ASGI servers with numbers that survive an audit."""

__version__ = "0.1.0"
