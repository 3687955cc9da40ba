"""Servers that misbehave, each in one way; the tests of the pipeline run them beside good ones."""

from sgibench.model import Launch, Server, Variant

FAULTS = {
    "none": "Behaves well; what the others are compared with.",
    "exits-at-start": "Ends before it listens.",
    "never-ready": "Listens and never answers.",
    "wrong-answer": "Answers another body from the first request on.",
    "wrong-later": "Answers another body once it has answered a thousand requests.",
    "crashes": "Ends in the middle of the load.",
    "loses-worker": "One of its processes ends in the middle of the load.",
    "hangs": "Stops answering in the middle of the load.",
    "stops": "Stops itself (SIGSTOP) in the middle of the load.",
    "stops-at-start": "Stops itself before it listens.",
    "stops-when-asked": "Stops itself when it is first asked for what is measured.",
    "ignores-sigterm": "Has to be killed.",
    "floods-log": "Writes megabytes to its log under load.",
    "leaks": "Keeps 50 MB more in memory for each second that it is asked.",
    "escapes": "Lets itself run on every CPU, in two processes.",
    "pushes": "Lets itself wait behind all others.",
    "hides-child": "Starts a process that leaves its session and its parent.",
}


def command(launch: Launch) -> list[str]:
    """Run the launcher with the fault it shall have."""
    script = launch.launchers / "faulty_server.py"
    return [launch.python, "-P", str(script), launch.options["fault"], str(launch.port), launch.target]


SERVER = Server(
    homepage="https://example.invalid",
    command=command,
    variants=tuple(
        Variant(
            id=f"faulty-{fault}",
            interface="asgi",
            concurrency="event loop",
            packages=("waitress==3.0.2",),
            options={"fault": fault},
            summary=summary,
        )
        for fault, summary in FAULTS.items()
    ),
)
