"""An app of the user's own, from `module:attribute` to something that a server can import.

It is imported only in processes of its environment: a probe that looks at it, servers that serve it, a driver that
calls it. The engine never imports it, and nothing here changes an environment of the user's or a file of the project.
"""
