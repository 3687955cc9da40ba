"""HTTP/1.1 written for measuring: answers are read without I/O in `reader`, moved by sockets in `connection`."""
