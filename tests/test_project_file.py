"""`sgibench init` and what it writes: options that a project holds, and the command line that wins over them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgibench.cli.config import defaults_for, read, without_table
from sgibench.cli.init import write_table
from sgibench.cli.run import run
from sgibench.errors import UsageError
from sgibench.serve.own.searching import candidates
from tests.in_process import inside

APP = """
def create_app(greeting="hi"):
    def app(environ, start_response):
        found = environ["PATH_INFO"] in ("/", "/health")
        body = greeting.encode()
        start_response("200 OK" if found else "404 Not Found",
                       [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    return app
"""


def sgibench(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sgibench.cli", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False, text=True, timeout=240)


def test_init_looks_at_a_copy_and_changes_nothing_but_its_table(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(f"open('started.db', 'a').write('x')\n{APP}", encoding="utf-8")
    done = sgibench(tmp_path, "init")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"shop.py", "sgibench.toml"}
    changed = sgibench(tmp_path, "init", "--force", "--no-copy")
    assert "changed 1 file of the project while it was looked at (started.db)" in changed.stdout


def test_init_says_what_it_found_and_run_alone_measures_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nkept = true\n", encoding="utf-8")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text(APP, encoding="utf-8")
    done = sgibench(tmp_path, "init")
    assert done.returncode == 0, done.stderr
    assert "app: shop:create_app(), a function (WSGI), an environment without packages" in done.stdout
    assert "requests: GET /, GET /health" in done.stdout
    text = (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    assert text.startswith("[tool.other]\nkept = true\n")
    assert 'app = "shop:create_app()"' in text
    again = sgibench(tmp_path, "init")
    assert (again.returncode, "pass --force" in again.stderr) == (2, True)
    more = 'server = ["waitress"]\nblocks = 1\nwindow = "200ms"\nconnections = 2\nrate = "none"\ncontrol = false\n'
    (tmp_path / "pyproject.toml").write_text(text + more + "[tool.last]\n", encoding="utf-8")
    done = sgibench(tmp_path, "run", "--json", "--connections", "3")
    assert done.returncode == 0, done.stderr
    (group,) = json.loads(done.stdout)["summary"]["groups"]
    assert (group["load"], [row["server"] for row in group["rows"]]) == ("closed-3", ["waitress"])
    assert json.loads(done.stdout)["summary"]["own"][0]["app"] == "shop:create_app"


def test_init_writes_down_what_it_was_told_but_no_secret_and_paths_are_the_files(tmp_path: Path) -> None:
    project = tmp_path / "deep" / "project"
    project.mkdir(parents=True)
    (project / "shop.py").write_text(APP, encoding="utf-8")
    entry = {"request": {"method": "GET", "url": "http://x/health", "headers": []},
             "response": {"status": 200, "content": {"mimeType": "text/html"}}}  # fmt: skip
    (project / "visit.har").write_text(json.dumps({"log": {"entries": [entry]}}), encoding="utf-8")
    (tmp_path / "elsewhere.txt").touch()
    words = "init --project deep/project --har deep/project/visit.har --requirements elsewhere.txt --copy"
    done = inside(tmp_path, *words.split(), "--env", "KEY=s3cr3t", "--header", "Cookie: s3cr3t")
    assert done.returncode == 0, done.stderr
    assert "not written, because secrets may be in it: --env, --header; give it to sgibench run, too" in done.stdout
    text = (project / "sgibench.toml").read_text(encoding="utf-8")
    assert "s3cr3t" not in text + done.stdout + done.stderr
    held = tomllib.loads(text)
    assert held == {
        "app": "shop:create_app()", "requirements": [str(tmp_path / "elsewhere.txt")], "copy": True,
        "har": ["visit.har"],
    }  # fmt: skip
    found = defaults_for("run", ["--project", str(project)], {"run": run})
    assert found is not None
    assert (found["har"], found["copy"]) == ((str(project / "visit.har"),), True)


@pytest.mark.parametrize(
    ("key", "value", "placed"),
    [
        ("openapi", "api.json", True), ("access-log", "access.log", True), ("body", "@order.json", True),
        ("scenario", "load.py", True), ("results", "kept", True), ("scenario", "json", False), ("body", "a=b", False),
        ("prepare", "./load.py", False),
    ],
)  # fmt: skip
def test_a_path_of_a_project_is_relative_to_its_file(key: str, value: str, placed: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a table
    (tmp_path / "sgibench.toml").write_text(f"{key} = {json.dumps(value)}\n", encoding="utf-8")
    found = defaults_for("run", [f"--project={tmp_path}"], {"run": run}) or {}
    (held,) = ((one,) if isinstance(one, str) else one for one in found.values())
    expected = value.replace(value.lstrip("@"), str(tmp_path / value.lstrip("@"))) if placed else value
    assert held == (expected,)


TALKING = """
import json

PAGES = {
    "/openapi.json": {"paths": {"/items": {"get": {}, "post": {}}, "/items/{id}": {"get": {}}, "/broken": {"get": {}}}},
    "/items": ["one"], "/docs": "read me",
}

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/broken":
        raise ValueError
    status = "200 OK" if path in PAGES else "302 Found" if path == "/" else "404 Not Found"
    body = json.dumps(PAGES.get(path, "")).encode()
    start_response(status, [("Content-Type", "application/json"), ("Location", "/login?next=/")])
    return [body]
"""


def test_init_asks_what_an_app_says_of_itself_and_nothing_that_run_would_refuse(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "words.py").write_text(
        TALKING + "class Talking:\n    def __init__(self, app): self.app = app\n"
        "    def __call__(self, environ, start_response): return self.app(environ, start_response)\n"
    )
    (tmp_path / "shop" / "main.py").write_text("from words import Talking, app as served\napp = Talking(served)\n")
    done = inside(tmp_path, "init")
    assert done.returncode == 0, done.stderr
    assert "app: shop/main.py:app, Talking (WSGI)" in done.stdout
    assert "requests: GET /items\n" in done.stdout
    assert "left out: GET /broken: the app raised ValueError" in done.stdout
    assert "left out: 1 that may write\n" in done.stdout
    assert "left out: 1 whose path has a parameter that is not described\n" in done.stdout


def test_init_asks_all_that_an_app_describes_with_its_front_page_first_and_says_what_is_too_many(
    tmp_path: Path,
) -> None:
    app = """
        import json
        PATHS = ["/", "/health", *(f"/p{number}" for number in range(MANY))]
        def app(environ, start_response):
            path, answered = environ["PATH_INFO"], {"responses": {"200": {}}}
            document = {"openapi": "3.1.0", "paths": {each: {"get": answered} for each in PATHS}}
            there = path in PATHS or path == "/openapi.json"
            start_response("200 OK" if there else "404 Not Found", [("Content-Type", "application/json")])
            return [json.dumps(document if path == "/openapi.json" else path).encode()]
    """
    for pages, first, more in (
        (4, ["/p0", "/p1", "/p2", "/p3"], ""),
        (9, [f"/p{number}" for number in range(8)], "left out: 1 request more than 10: GET /p8\n"),
    ):
        text = textwrap.dedent(app).replace("MANY", str(pages))
        (tmp_path / "main.py").write_text(text, encoding="utf-8")
        done = inside(tmp_path, "init", "--force")
        assert done.returncode == 0, done.stderr
        asked = [f"GET {path}" for path in ("/", "/health", *first)]
        assert f"requests: {', '.join(asked)}\n{more}wrote" in done.stdout
        held = tomllib.loads((tmp_path / "sgibench.toml").read_text(encoding="utf-8"))
        assert held["request"] == [f"1 {line}" for line in asked]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("aap = 1", "unknown key 'aap': did you mean app"),
        ("app = [", "expected TOML"),
        ("curve = 3", "curve: expected true or false"),
        ('profile = ["a", "b"]', "profile: expected one value"),
        ("app = {a = 1}", "app: expected a text or a number"),
        ("resume = 'latest'", "unknown key 'resume'"),
        ('app = "x:app"\nrequest = [{requst = "GET /"}]', "--request: expected {request ="),
        ("app = " + "[" * 100_000, "it is nested too deeply"),
        ('app = "x:app"\nrequest = "{' + "[" * 60_000 + '"', "--request: expected {request ="),
        ('venv = "a\\u0000b"', "venv: expected a text without NUL"),
        ('app = "x:app"\nenv = {A = "a\\u0000b"}', "env: expected a text without NUL"),
        ('app = "x:app"\nrequest = "POST /"\nbody = "@/dev/zero"', "expected a file, but it is a device"),
        ('app = "x:app"\nrequest = "GET /"\nheader = "X: \u2603"', "--header: expected 'Name: value', got 'X'"),
        ('env-file = "."', "expected a file, but it is a folder"),
        ('ready = "/a\\nX: y"', "--ready: expected a path"),
    ],
)
def test_what_a_project_can_not_say_is_refused_in_one_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "sgibench.toml").write_text(text, encoding="utf-8")
    done = inside(tmp_path.parent, "check", "--project", str(tmp_path), "waitress")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert told in line
    assert len(line) < 1100


@pytest.mark.parametrize(
    "text", ["tool.sgibench = {app = 'x'}\n", "[tool]\nsgibench.app = 'x'\n", 'x = """\n[tool.sgibench]\n"""\n']
)
def test_a_table_that_can_not_be_replaced_leaves_the_projects_file_as_it_is(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="is left as it is"):
        write_table(tmp_path, {"app": "shop:app"})
    assert (tmp_path / "pyproject.toml").read_text(encoding="utf-8") == text
    assert len([*tmp_path.iterdir()]) == 1


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0"), max_size=8))
def test_whatever_init_writes_is_read_back_or_nothing_is_written(tmp_path: Path, text: str) -> None:
    values = {"app": text, "request": [text, "1 GET /"]}
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nkept = true\n", encoding="utf-8")
    try:
        write_table(tmp_path, values)
    except UsageError:
        assert "sgibench" not in (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    else:
        assert read(tmp_path) == (tmp_path / "pyproject.toml", values)


def test_a_project_without_the_table_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    assert read(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text("tool.sgibench = 3\n", encoding="utf-8")
    with pytest.raises(UsageError, match="expected a table"):
        read(tmp_path)


def test_where_nothing_is_answered_init_names_the_routes_and_where_everything_is_only_the_front_page(
    tmp_path: Path,
) -> None:
    (tmp_path / "main.py").write_text(
        textwrap.dedent("""
            class Route:
                def __init__(self, path, methods=("GET",), routes=()):
                    self.path, self.methods, self.routes = path, methods, routes

            class App:
                routes = [Route("/items"), Route("/items/{id}"), Route("/new", {"POST"})]
                routes += [Route("/in", (), [Route("/side")])]
                found = "404 Not Found"

                def __call__(self, environ, start_response):
                    start_response(self.found, [("Content-Type", "text/plain")])
                    return [b"anything"]

            app = App()
        """),
        encoding="utf-8",
    )
    done = inside(tmp_path, "init")
    assert (
        "requests: none was answered: name some with --request; the app has /items, /in/side "
        "(GET /: the app answers 404: ask for what it has"
    ) in done.stdout
    assert "request" not in tomllib.loads((tmp_path / "sgibench.toml").read_text(encoding="utf-8"))
    text = (tmp_path / "main.py").read_text(encoding="utf-8")
    (tmp_path / "main.py").write_text(text.replace("404 Not Found", "200 OK"), encoding="utf-8")
    done = inside(tmp_path, "init", "--force")
    assert "requests: GET /\n" in done.stdout
    routed = text.replace("self.found", "'200 OK' if environ['PATH_INFO'] == '/' else self.found")
    (tmp_path / "main.py").write_text(routed, encoding="utf-8")
    done = inside(tmp_path, "init", "--force")
    assert "requests: GET /\nnot asked: the app has /items, /in/side, too; add them with --request\n" in done.stdout


def test_init_names_an_app_once_and_points_to_the_projects_within(tmp_path: Path) -> None:
    for folder, there in (("api", "import there_is_no_such_package"), ("web", "")):
        (tmp_path / folder / "code").mkdir(parents=True)
        (tmp_path / folder / "requirements.txt").touch()
        (tmp_path / folder / "code" / "main.py").write_text(f"{there}\n{APP}app = make_app()\n", encoding="utf-8")
    done = inside(tmp_path, "init")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"{tmp_path}/api/code/main.py line 1: import there_is" in done.stderr, "the project's file, not its copy's"
    assert "there are projects within this one: sgibench init --project api or web" in done.stderr
    (tmp_path / "api" / "code" / "main.py").write_text(APP, encoding="utf-8")
    done = inside(tmp_path, "init")
    assert "app: api.code.main:create_app()," in done.stdout
    assert "also there: web/code/main.py:app, web/code/main.py:create_app()\n" in done.stdout


def test_an_old_table_is_taken_out_and_nothing_else() -> None:
    text = "[a]\nx = 1\n[tool.sgibench]\napp = 'x'\n[tool.sgibench.env]\nA = 'b'\n[tool.other]\ny = 2"
    assert without_table(text) == "[a]\nx = 1\n[tool.other]\ny = 2"


def test_candidates_are_read_from_sources_likeliest_first(tmp_path: Path) -> None:
    for name, text in {
        "src/shop/wsgi.py": "application = get_wsgi_application()\n",
        "src/shop/web.py": "thing = flask.Flask(__name__)\ndef create_app(config): ...\n",
        "main.py": "app: FastAPI = FastAPI()\n",
        "tests/test_app.py": "app = Flask(__name__)\n",
        "broken.py": "def (:\n",
        "odd-name.py": "def create_app(*, debug=False): ...\n",
        "backend/manage.py": "",
        "backend/site/__init__.py": "",
        "backend/site/wsgi.py": "application = get_wsgi_application()\n",
        "board.py": "app = dash.Dash()\nworker = Celery()\n",
        "mine.py": "application = Mine()\n",
        "bare.py": "def app(environ, start_response): ...\nasync def serve(scope, receive, send): ...\n",
        "bäre.py": "async def app(scope, receive, send): ...\nasync def other(environ, start_response): ...\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert candidates(tmp_path) == [
        ("main:app",),
        ("board:app.server",),
        ("backend.site.wsgi:application", "backend/site/wsgi.py:application"),
        ("shop.wsgi:application", "src/shop/wsgi.py:application"),
        ("odd-name.py:create_app()",),
        ("shop.web:thing", "src/shop/web.py:thing"),
        ("bare:app",),
        ("bäre:app",),
        ("mine:application",),
        ("bare:serve",),
    ]
