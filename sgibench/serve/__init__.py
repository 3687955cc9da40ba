"""From a declaration to a server that answers, and to its burial: environments, processes, what they turned out to be.

Nothing here knows load, statistics or results. Whatever is started is owned by somebody until it has ended, and is
ended whatever ends its owner.
"""
