"""What the web UI answers: Locust's own pages, with our ways to begin and end a test and with what our tabs need.

Locust's page is not changed but added to: one style sheet and one script come after it. If they did not load, the form
would still start and stop tests.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Response, jsonify, make_response, request, send_file

from sgibench.errors import LoadError, SgibenchError
from sgibench.load.webui.form import Form
from sgibench.load.webui.session import Session
from sgibench.load.webui.show import state_of

HERE = Path(__file__).parent
TABS = (("Server", "sgi-server"), ("Generator", "sgi-generator"), ("Doubts", "sgi-doubts"), ("Tests", "sgi-tests"))
"""Title and key of each of our tabs; page.js fills them."""
ADDED = '<link rel="stylesheet" href="./sgibench/page.css"><script defer src="./sgibench/page.js"></script></body>'
FILES = {"page.css": "text/css", "page.js": "text/javascript"}


class Pages:
    """The routes of one UI."""

    def __init__(self, ui: Any, session: Session, form: Form) -> None:
        self._ui = ui
        self._session = session
        self._form = form
        self._locusts_index: Callable[[], Any] = ui.app.view_functions["locust.index"]
        self._locusts_update: Callable[[], None] = ui.update_template_args

    def install(self) -> None:
        """Take the place of Locust's views where ours differ, and add our own."""
        app = self._ui.app
        app.view_functions |= {
            "locust.index": self.index,
            "locust.swarm": self.swarm,
            "locust.stop": self.stop,
            "locust.update_user": self.closed,
        }
        app.add_url_rule("/sgibench/state", "sgibench.state", self.state)
        app.add_url_rule("/sgibench/save", "sgibench.save", self.save, methods=["POST"])
        app.add_url_rule("/sgibench/report", "sgibench.report", self.report)
        app.add_url_rule("/sgibench/<name>", "sgibench.added", self.added)
        self._ui.update_template_args = self._update_template_args

    def _update_template_args(self) -> None:
        """Give Locust's page our tabs; it must not ask for a host, because the engine gives one."""
        self._locusts_update()
        self._ui.template_args |= {
            "extended_tabs": [{"title": title, "key": key} for title, key in TABS],
            "missing_host_warning": False,
        }

    def index(self) -> Response:
        """Locust's page with our additions."""
        page = make_response(self._locusts_index())
        page.set_data(page.get_data(as_text=True).replace("</body>", ADDED))
        page.headers["Cache-Control"] = "no-store"
        return page

    def swarm(self) -> Response:
        """Start, or change the number of users of what runs."""
        session, form = self._session, self._form
        try:
            before = dict(form.last)
            choice = form.read(request.form)
            if session.running:
                changed = [name for name, value in choice.values.items() if value != before[name]]
                if changed:
                    raise LoadError(f"Only the users can change while a test runs; stop it to change {changed[0]}")
                session.edit(choice)
            else:
                session.start(choice)
            form.remember(choice, session.environment.parsed_options)
        except SgibenchError as error:
            return jsonify({"success": False, "message": str(error), "host": session.environment.host})
        return jsonify({"success": True, "message": "Swarming started", "host": session.environment.host})

    def stop(self) -> Response:
        """Stop the load, then the server."""
        self._session.stop()
        return jsonify({"success": True, "message": "Test stopped"})

    def state(self) -> Response:
        """All that our bar and tabs show."""
        return jsonify(state_of(self._session))

    def save(self) -> tuple[Response, int]:
        """Save the tests as a run, with its report."""
        try:
            saved = self._session.save()
        except SgibenchError as error:
            return jsonify({"success": False, "message": str(error)}), 409
        return jsonify({"success": True, **saved}), 200

    def report(self) -> Response:
        """Show the report of the run that was saved last; it brings a policy of its own."""
        if self._session.saved is None:
            return make_response("Nothing was saved yet.", 404)
        path = Path(self._session.saved["report"]).resolve()
        if not path.is_file():
            return make_response("The report was deleted; sgibench report makes it again.", 404)
        page = send_file(path, mimetype="text/html", max_age=0)
        page.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
        return page

    def added(self, name: str) -> Response:
        """Our style sheet and script."""
        if name not in FILES:
            return make_response("There is no such file.", 404)
        return send_file(HERE / name, mimetype=FILES[name], max_age=0)

    def closed(self) -> Response:
        """Locust's way to change user classes from the page, their host included."""
        return make_response("Users are what the scenario says; this UI does not change them.", 404)
