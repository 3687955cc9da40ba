"""A database backend of Django's that counts who waits for a connection."""
