"""An app of the user's own: how it is named, found, told apart, refused, and served."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench import catalogue, secrets
from sgibench.bench.asking import read_request, read_requests, told_apart
from sgibench.bench.own import Looked, OwnRequest, busy, fitting_connections, look_at
from sgibench.bench.request import unfit
from sgibench.engine.progress import Silent
from sgibench.errors import EnvsError, UsageError
from sgibench.model import App, Asked, AskedScenario, BaseEnvironment, OwnApp
from sgibench.serve.own import base as base_module
from sgibench.serve.own import drive as drive_script
from sgibench.serve.own import driving
from sgibench.serve.own.base import Sources, find_base, look
from sgibench.serve.own.copying import in_copy
from sgibench.serve.own.driving import Driven
from sgibench.serve.own.overlay import Wanted, ensure_overlay, yours
from sgibench.serve.own.probing import Telling, probe_app
from sgibench.serve.own.spec import read_spec
from sgibench.serve.scratch import scratch_folder

SHOP = """
import functools
import os

def app(environ, start_response):
    body = os.environ.get("GREETING", "hello").encode() + environ["PATH_INFO"].encode()
    refused = {"/none": "404 Not Found", "/csrf": "403 Forbidden"}
    start_response(refused.get(environ["PATH_INFO"], "200 OK"),
                   [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"hi"})

async def living(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
    else:
        await asgi(scope, receive, send)

async def failing(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})

def create_app(a=1, *, names=()):
    assert a == 1, "bad a"
    return app

class Two:
    def __init__(self, scope):
        self.scope = scope
    async def __call__(self, receive, send):
        await asgi(self.scope, receive, send)

class Three:
    async def __call__(self, scope, receive, send):
        await asgi(scope, receive, send)

class Old:
    def __init__(self, environ, start_response):
        self.answer = app(environ, start_response)
    def __iter__(self):
        return iter(self.answer)

def wrapped(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

def spread(*args):
    return app(*args)

async def coming():
    return app

three = Three()
part = functools.partial(lambda first, environ, start_response: app(environ, start_response), 1)
part_asgi = functools.partial(asgi)
deep = type("Box", (), {"app": staticmethod(app)})
wsgi_wrapped = wrapped(app)
asgi_wrapped = wrapped(asgi)
number = 3
dash = type("Dash", (), {"server": staticmethod(app), "app": 3})()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")
    (folder / "my-app.py").write_text("from shop import app as application\n", encoding="utf-8")
    (folder / "pkg" / "web").mkdir(parents=True)
    for name in ("pkg", "pkg/web"):
        (folder / name / "__init__.py").touch()
    (folder / "pkg" / "web" / "main.py").write_text("from ..web import __name__ as app_name\nfrom shop import app\n")
    return folder


@pytest.fixture(scope="module")
def bare(project: Path) -> BaseEnvironment:
    return find_base(Sources(project=project / "pkg"))


def probed(
    text: str, project: Path, base: BaseEnvironment, scratch: Path, variables: Mapping[str, str] | None = None
) -> App:
    return probe_app(Telling(text=text, project=project, variables=variables or {}), base, scratch)


# --- names ----------------------------------------------------------------------------------------------------------


def test_a_factory_is_called_with_literals_and_lists_among_them(project: Path) -> None:
    spec = read_spec('shop:create_app(1, names=["a", {"b": None}], debug=False)', project)
    assert spec.id == "shop:create_app"
    assert "app = _module.create_app(1, names=['a', {'b': None}], debug=False)" in spec.source()


def test_a_file_is_imported_as_the_module_that_it_is(project: Path) -> None:
    inside = read_spec("pkg/web/main.py:app", project)
    assert (inside.module, inside.paths[0], inside.file) == ("pkg.web.main", project, None)
    odd = read_spec("my-app.py:application", project)
    assert odd.file == project / "my-app.py"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("shop:", "expected module:attribute"),
        ("shop:create_app(os.environ)", "expected literals in the call, got 'os.environ'"),
        ("shop:create_app(**{})", r"got \*\* in the call"),
        ("shop:1 + 1", "expected names and calls"),
        ("shop:app; import os", "expected a name or a call"),
        ("shop:__import__('os').system(lambda: 1)", "expected literals in the call"),
        ("no/such.py:app", "there is none at"),
        ("9shop:app", "expected a module such as"),
        ("shop:" + "(" * 5000, "expected a name or a call"),
    ],
)
def test_what_names_no_app_is_refused_before_anything_runs(text: str, told: str, project: Path) -> None:
    with pytest.raises(UsageError, match=told):
        read_spec(text, project)


# --- what it is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "interface", "lifespan"),
    [
        ("shop:app", "wsgi", None),
        ("shop:deep.app", "wsgi", None),
        ("shop:Old", "wsgi", None),
        ("shop:part", "wsgi", None),
        ("shop:wsgi_wrapped", "wsgi", None),
        ("my-app.py:application", "wsgi", None),
        ("pkg/web/main.py:app", "wsgi", None),
        ("shop:asgi", "asgi", "refused"),
        ("shop:living", "asgi", "supported"),
        ("shop:Two", "asgi", "refused"),
        ("shop:three", "asgi", "refused"),
        ("shop:Three()", "asgi", "refused"),
        ("shop:part_asgi", "asgi", "refused"),
        ("shop:asgi_wrapped", "asgi", "refused"),
    ],
)
def test_the_interface_is_found_by_looking(  # noqa: PLR0917 - a table
    text: str, interface: str, lifespan: str | None, project: Path, bare: BaseEnvironment, tmp_path: Path
) -> None:
    app = probed(text, project, bare, tmp_path)
    assert app.own is not None
    assert (app.interface, app.own.lifespan) == (interface, lifespan)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("shop:create_app", r"If it makes the app, call it: --app 'shop:create_app\(\)'"),
        ("shop:create_app(2)", r"create_app raised AssertionError: bad a \(.*shop.py line \d+: assert a == 1"),
        ("shop:number", "it is an int and can't be called; expected a WSGI or ASGI app"),
        ("shop:dash", "it is a Dash and can't be called; it holds one: --app 'shop:dash.server'"),
        ("shop:coming()", "servers don't await it"),
        ("shop:failing", "its start-up .lifespan. fails: no database"),
        ("shop:spread", "say which with --interface wsgi or asgi"),
        ("shop:nothing", "no attribute 'nothing'; in shop there is app"),
        ("nowhere:app", "No module named 'nowhere'.*--project DIR"),
    ],
)
def test_what_is_no_app_is_told_in_one_line(
    text: str, told: str, project: Path, bare: BaseEnvironment, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        probed(text, project, bare, tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import flask_that_is_not", r"has no flask_that_is_not: name the app's environment with --venv DIR"),
        ("raise SystemExit(3)", "can't be imported: SystemExit: 3"),
        ("import os; os._exit(7)", "ended the process with status 7"),
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('no way') from error",
            "ValueError: no way, after ZeroDivisionError: division by zero",
        ),
        ("import os; os.kill(os.getpid(), 11)", r"importing it crashed the interpreter \(SIGSEGV\)"),
        (
            "import os\nKEY = os.environ['SHOP_KEY']",
            r"KeyError: 'SHOP_KEY' \(\S+ line 2: KEY = os\S+\);",
        ),
        ("def broken(:", "SyntaxError"),
        ("print('x' * 2_000_000)\napp = lambda environ, start_response: []", "it prints 1.9"),
        (
            "import socket\nkept = socket.create_server(('127.0.0.1', PORT))\napp = lambda environ, start_response: []",
            "it insists on a port of its own",
        ),
        (
            "import http.server as s\ns.HTTPServer(('127.0.0.1', PORT), s.BaseHTTPRequestHandler).serve_forever()",
            "importing it starts a server of its own on port",
        ),
        (
            "import pathlib\npathlib.Path('lock').open('x')\napp = lambda environ, start_response: []",
            "starts alone, but not beside a copy of itself",
        ),
    ],
)
def test_an_app_that_can_not_be_served_is_refused_once(
    code: str, told: str, bare: BaseEnvironment, tmp_path: Path, free_port: int
) -> None:
    (tmp_path / "odd.py").write_text(code.replace("PORT", str(free_port)), encoding="utf-8")
    with pytest.raises(UsageError, match=told) as refused:
        probed("odd:app", tmp_path, bare, tmp_path / "scratch")
    assert "\n" not in str(refused.value)


@pytest.fixture
def free_port() -> int:
    from sgibench.serve.process import free_port as ask  # noqa: PLC0415 - one name for both

    return ask()


# --- its environment ------------------------------------------------------------------------------------------------


def installed(folder: Path, name: str, version: str, text: str) -> None:
    """Put a package into an environment as an installer would."""
    (site,) = folder.glob("lib/python*/site-packages")
    (site / f"{name}.py").write_text(text, encoding="utf-8")
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "RECORD").write_text(f"{name}.py,,\n", encoding="utf-8")
    (info / "INSTALLER").write_text("test", encoding="utf-8")


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs") / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    installed(folder, "shoplib", "1.5", "who = 'yours'\n")
    installed(folder, "waitress", "2.1.2", "who = 'an old one of yours'\n")
    return folder


def everything_in(folder: Path) -> dict[str, float]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_an_existing_environment_is_found_read_and_never_changed(venv: Path) -> None:
    before = everything_in(venv)
    base = find_base(Sources(project=venv.parent))
    assert base.packages == {"shoplib": "1.5", "waitress": "2.1.2"}
    overlay = ensure_overlay(base, Wanted(requirements=("h11==0.16.0",)))
    code = "import h11, shoplib; print(h11.__version__, shoplib.who)"
    told = subprocess.run([str(overlay.bin / "python"), "-B", "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout == "0.16.0 yours\n"
    assert {"h11==0.16.0", "shoplib==1.5"} <= set(overlay.info.packages)
    assert everything_in(venv) == before


def test_the_projects_own_server_is_served_unless_another_version_is_named(venv: Path) -> None:
    base = find_base(Sources(project=venv.parent))
    theirs, named = Wanted(requirements=("waitress==3.0.2",)), Wanted(requirements=("waitress==3.0.1",), named=True)
    assert (yours(base, theirs), yours(base, named)) == ("2.1.2", None)
    assert ensure_overlay(base, theirs).versions["waitress"] == "2.1.2"
    assert ensure_overlay(base, named).versions["waitress"] == "3.0.1"


@pytest.mark.parametrize(
    ("project", "said"),
    [
        ("name = 'x'", "requirements.txt"),
        ("name = 'x'\ndependencies = []", "requirements.txt"),
        ("name = 'x'\ndynamic = ['dependencies']", "pyproject.toml"),
        ("name = 'x'\ndependencies = ['flask']", "pyproject.toml"),
    ],
)
def test_a_project_that_names_no_dependency_leaves_it_to_its_requirements(
    project: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    (tmp_path / "pyproject.toml").write_text(f"[project]\n{project}\n", encoding="utf-8")
    (tmp_path / "requirements.txt").touch()
    chosen: list[str] = []
    monkeypatch.setattr(base_module, "_from_project", lambda _sources: chosen.append("pyproject.toml"))
    monkeypatch.setattr(base_module, "_from_requirements", lambda _sources, files: chosen.append(files[0].name))
    find_base(Sources(project=tmp_path))
    assert chosen == [said]


def test_packages_that_can_not_agree_are_told_with_uvs_reason(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True)
    installed(tmp_path / ".venv", "click", "6.7", "")
    base = find_base(Sources(project=tmp_path))
    with pytest.raises(EnvsError, match=r"can't agree with the app's \(./.venv\).*click"):
        ensure_overlay(base, Wanted(requirements=("uvicorn==0.34.0",)))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("", "expected a virtual environment, but there is no bin/python"),
        ("#!/bin/sh\nexit 1\n", "is not a working Python"),
        ('#!/bin/sh\necho \'{"version": "3.8.1"}\'\n', "expected an environment of Python 3.9 or newer"),
    ],
)
def test_what_is_no_environment_is_told(script: str, told: str, tmp_path: Path) -> None:
    if script:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "python").write_text(script, encoding="utf-8")
        (tmp_path / "bin" / "python").chmod(0o755)
    with pytest.raises(UsageError, match=told):
        look(tmp_path, "it", "--venv")


# --- its requests ---------------------------------------------------------------------------------------------------


def test_a_request_is_read_with_weight_method_path_and_status() -> None:
    assert read_request("3 GET /a?b=c") == Asked(method="GET", path="/a?b=c", weight=3)
    assert read_request("/größe") == Asked(method="GET", path="/gr%C3%B6%C3%9Fe")
    assert read_request("post /x 302") == Asked(method="POST", path="/x", status=302)
    for bad in ("", "GET", "0 GET /", "GET x", "GET / 99", "GET / 1000", "GET /a b c"):
        with pytest.raises(UsageError, match="expected a request"):
            read_request(bad)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([b"", b"x", b"y"]), st.integers(1, 5)), max_size=9))
def test_requests_that_differ_have_names_of_their_own_and_the_same_ones_are_one(
    rows: list[tuple[str, bytes, int]],
) -> None:
    asked = [Asked(method="POST", path=f"/{path}", body=body, weight=weight) for path, body, weight in rows]
    found = told_apart(asked)
    assert len({one.name for one in found}) == len(found) == len({(path, body) for path, body, _ in rows})
    assert sum(one.weight for one in found) == sum(weight for _, _, weight in rows)
    assert all(one.name in {one.line, f"{one.line} ({one.twin})"} for one in found)
    assert told_apart(found) == found


def test_bodies_go_with_the_requests_that_send_one_and_headers_with_all() -> None:
    one, two, three = read_requests(("GET /", "POST /a", "PUT /b"), (b"{}", b"x=1"), ("X-Key: 1",))
    assert (one.body, one.headers) == (b"", (("X-Key", "1"),))
    assert (two.body, two.headers[-1]) == (b"{}", ("Content-Type", "application/json"))
    assert (three.body, three.headers[-1][1]) == (b"x=1", "application/x-www-form-urlencoded")
    with pytest.raises(UsageError, match="at most one for each POST"):
        read_requests(("GET /",), (b"{}",), ())


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(method="GET", path="/none"), "the app answers 404: ask for what it has.*'GET /none 404'"),
        (Asked(method="GET", path="/", status=201), "expected status 201, but the app answers 200"),
        (Asked(method="POST", path="/csrf"), r"answers 403: it wants a CSRF token.*'POST /csrf 403'"),
    ],
)
def test_an_answer_that_nobody_asked_for_ends_it_before_any_load(
    asked: Asked, told: str, project: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        look_at(("shop:app",), OwnRequest(project=project, asked=(asked,)), tmp_path, Silent())


def test_an_answer_that_was_asked_for_becomes_the_expectation(project: Path, tmp_path: Path) -> None:
    asked = (Asked(method="GET", path="/none", status=404), Asked(method="GET", path="/"))
    looked = look_at(("shop:app",), OwnRequest(project=project, asked=asked), tmp_path, Silent())
    assert [one.expectation.status for one in looked.scenario.requests if one.expectation] == [404, 200]
    assert all(one.cpu_us > 0 for one in looked.driven["shop:app"])


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, sentence: str) -> None:
        self.lines.append(sentence)


def test_an_app_that_raises_or_prints_too_much_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        textwrap.dedent("""
            def app(environ, start_response):
                if environ["PATH_INFO"] == "/bad":
                    raise ValueError("oh no")
                if environ["PATH_INFO"] == "/broken":
                    print("no database")
                    start_response("500 Oops", [("Content-Length", "0")])
                    return [b""]
                print("x" * 500)
                start_response("200 OK", [("Content-Length", "0")])
                return [b""]
        """),
        encoding="utf-8",
    )
    for path, told in (
        ("/bad", "the app raised ValueError: oh no .*loud.py line 4"),
        ("/broken", "the app answers 500 .*no database.: give it what it needs"),
        ("/", "prints 50[01] bytes"),
    ):
        own = OwnRequest(project=tmp_path, asked=(Asked(method="GET", path=path),))
        with pytest.raises(UsageError, match=told):
            look_at(("loud:app",), own, tmp_path, Silent())


def test_a_limit_a_late_failure_and_a_missing_login_are_refused_before_any_load(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        textwrap.dedent("""
            from collections import Counter
            calls = Counter()
            LATE = {"/limit": (50, "429 Too Many"), "/full": (60, "507 Full")}
            TO = {"/me": "http://127.0.0.1:8000/accounts/login/?next=/me", "/login": "/login/", "/blog": "/blogin/",
                  "/safe": "https://127.0.0.1/safe", "/away": "https://127.0.0.1/"}
            def app(environ, start_response):
                path = environ["PATH_INFO"]
                calls[path] += 1
                least, later = LATE.get(path, (0, ""))
                status = "302 Found" if path in TO else later if least and calls[path] >= least else "200 OK"
                start_response(status, [("Content-Length", "0"), ("Location", TO.get(path, "/"))])
                return [b""]
        """),
        encoding="utf-8",
    )
    for path, told in (
        ("/limit", r"answered 200, but call 50 was answered 429: the app limits how often"),
        ("/full", r"answered 200, but call 60 was answered 507: it can't be asked many times"),
        ("/me", r"answers 302 \(to /accounts/login/\): a login is missing.*'GET /me 302'"),
        ("/safe", r"answers 302 and wants the same over HTTPS.*X-Forwarded-Proto: https.*'GET /safe 302'"),
    ):
        own = OwnRequest(project=tmp_path, asked=(Asked(method="GET", path=path),))
        with pytest.raises(UsageError, match=told):
            look_at(("odd:app",), own, tmp_path / "scratch", Silent())
    wanted = (
        Asked(method="GET", path="/me", status=302),
        *(Asked(method="GET", path=one) for one in ("/login", "/blog", "/away")),
    )
    look_at(("odd:app",), OwnRequest(project=tmp_path, asked=wanted), tmp_path / "scratch", Silent())


def test_an_app_that_contradicts_itself_about_the_length_of_its_body_is_refused_before_any_server(
    tmp_path: Path,
) -> None:
    (tmp_path / "odd.py").write_text(
        textwrap.dedent("""
            def wsgi(environ, start_response):
                status, _, length = environ["PATH_INFO"][1:].partition("/")
                start_response(status + " Or Other", [("Content-Type", "text/plain"), ("Content-Length", length)])
                return [b"" if status in ("204", "304") or environ["REQUEST_METHOD"] == "HEAD" else b"hello"]
            async def asgi(scope, receive, send):
                length = scope["path"].rpartition("/")[2].encode()
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
                await send({"type": "http.response.body", "body": b"hello"})
        """),
        encoding="utf-8",
    )

    def look(app: str, path: str, method: str = "GET") -> None:
        asked = (Asked(method=method, path=path, status=int(path[1:4])),)
        look_at((f"odd:{app}",), OwnRequest(project=tmp_path, asked=asked), tmp_path / "scratch", Silent())

    for app, length in itertools.product(("wsgi", "asgi"), ("9", "3", "0")):
        with pytest.raises(UsageError, match=f"the app says Content-Length: {length}, but its body has 5 bytes"):
            look(app, f"/200/{length}")
    for path, method in (("/200/5", "GET"), ("/200/9", "HEAD"), ("/304/9", "GET"), ("/204/0", "GET")):
        look("wsgi", path, method)


def test_only_a_redirect_is_said_to_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        textwrap.dedent("""
            def app(environ, start_response):
                where = [("Location", "/items")] if environ["PATH_INFO"] == "/302" else []
                start_response(environ["PATH_INFO"][1:] + " Told", where)
                return []
        """),
        encoding="utf-8",
    )
    heard, asked = Heard(), tuple(Asked(method="GET", path=path) for path in ("/302", "/303", "/304"))
    look_at(("odd:app",), OwnRequest(project=tmp_path, asked=asked), tmp_path / "scratch", heard)
    told = [line.split("; ")[0] for line in heard.lines if line.startswith("GET ")]
    assert told == [
        "GET /302: 302 (to /items), no type, 0 B",
        "GET /303: 303, no type, 0 B",
        "GET /304: 304, no type, 0 B",
    ]


def test_an_app_that_moves_what_is_around_it_is_asked_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        textwrap.dedent("""
            import io, os, sys
            sys.argv, sys.stdout = ["mine"], io.StringIO()
            os.chdir("/")
            def app(environ, start_response):
                print("nobody reads this" * 100)
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [os.getcwd().encode()]
        """),
        encoding="utf-8",
    )
    looked = look_at(("odd:app",), OwnRequest(project=tmp_path), tmp_path / "scratch", Silent())
    assert looked.driven["odd:app"][0].answers[-1].body == b"/"


@pytest.mark.parametrize(("sleeps", "interface"), [("0", "asgi"), ("60", "asgi"), ("0", "wsgi")])
def test_an_app_that_computes_while_nothing_is_asked_of_it_is_said_to(
    sleeps: str, interface: str, tmp_path: Path
) -> None:
    (tmp_path / "odd.py").write_text(
        textwrap.dedent(f"""
            import asyncio, threading
            def burn():
                while True: sum(range(1000))
            async def tick():
                while True: await asyncio.sleep({sleeps})
            tasks = []
            async def asgi(scope, receive, send):
                assert scope["type"] == "http"
                tasks.append(tasks or asyncio.ensure_future(tick()))
                await send({{"type": "http.response.start", "status": 200, "headers": []}})
                await send({{"type": "http.response.body", "body": b"ok"}})
            def wsgi(environ, start_response):
                tasks or tasks.append(threading.Thread(target=burn, daemon=True))
                tasks[0].is_alive() or tasks[0].start()
                start_response("200 OK", [("Content-Length", "0")])
                return [b""]
        """),
        encoding="utf-8",
    )
    heard = Heard()
    looked = look_at((f"odd:{interface}",), OwnRequest(project=tmp_path), tmp_path / "scratch", heard)
    said = any("of a CPU while nothing is asked of it" in line for line in heard.lines)
    assert said == (sleeps == "0") == bool(busy(looked.driven))


def test_an_app_that_ends_its_process_when_it_is_asked_is_named_with_the_request(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "import os\ndef app(environ, start_response):\n    if environ['PATH_INFO'] == '/exit': os._exit(3)\n"
        "    start_response('200 OK', [('Content-Length', '0')])\n    return [b'']\n",
        encoding="utf-8",
    )
    asked = tuple(Asked(method="GET", path=path) for path in ("/", "/exit"))
    with pytest.raises(UsageError, match=r"without a server: GET /exit ended its process \(status 3\)"):
        look_at(("odd:app",), OwnRequest(project=tmp_path, asked=asked), tmp_path / "scratch", Silent())


def test_a_request_that_is_never_answered_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd.py").write_text(
        textwrap.dedent("""
            import time
            async def app(scope, receive, send):
                assert scope["type"] == "http"
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"ok"})
                while scope["path"] == "/events":
                    time.sleep(60)
        """),
        encoding="utf-8",
    )
    monkeypatch.setattr(driving, "EACH_S", 3.0)
    asked = tuple(Asked(method="GET", path=path) for path in ("/", "/events"))
    with pytest.raises(UsageError, match=r"did not answer GET /events in time: what never ends \(a stream"):
        look_at(("odd:app",), OwnRequest(project=tmp_path, asked=asked), tmp_path / "scratch", Silent())


LINGERING = """
import threading, time

def linger():
    threading.Thread(target=time.sleep, args=(3600,)).start()

{}

def app(environ, start_response):
    if environ["PATH_INFO"] == "/linger":
        linger()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


def test_requests_that_leave_a_thread_behind_each_are_refused_as_that(tmp_path: Path) -> None:
    """It was told that it did not answer in time: its answers were there, and its process did not end."""
    (tmp_path / "odd.py").write_text(LINGERING.format(""), encoding="utf-8")
    asked = tuple(Asked(method="GET", path=path) for path in ("/", "/linger"))
    told = r"it answered [\d,]+ times, but [\d,]+ threads that it started go on: under load they would pile up"
    with pytest.raises(UsageError, match=told):
        look_at(("odd:app",), OwnRequest(project=tmp_path, asked=asked), tmp_path / "scratch", Silent())


def test_a_thread_of_the_apps_that_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(LINGERING.format("linger()"), encoding="utf-8")
    asked = (Asked(method="GET", path="/"),)
    looked = look_at(("odd:app",), OwnRequest(project=tmp_path, asked=asked), tmp_path / "scratch", Silent())
    (driven,) = looked.driven["odd:app"]
    assert driven.answers[0].body == b"ok"
    assert driven.calls


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGSTOP)", "--app odd:app: importing it stopped its process (SIGSTOP)"),
        ("", "called without a server its process was stopped (SIGSTOP) by GET /stop"),
    ],
)
def test_an_app_that_stops_itself_is_named_and_not_waited_for(source: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        textwrap.dedent(f"""
            import os, signal
            {source}
            def app(environ, start_response):
                if environ["PATH_INFO"] == "/stop":
                    os.kill(os.getpid(), signal.SIGSTOP)
                start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
                return [b"ok"]
        """),
        encoding="utf-8",
    )
    asked = tuple(Asked(method="GET", path=path) for path in ("/", "/stop"))
    began_s = time.monotonic()
    with pytest.raises(UsageError) as error:
        look_at(("odd:app",), OwnRequest(project=tmp_path, asked=asked), tmp_path / "scratch", Silent())
    assert told in str(error.value)
    assert time.monotonic() - began_s < 45, "it was waited for, for a minute or more"


def test_headers_of_the_users_reach_the_app_without_a_server_as_a_server_hands_them_over() -> None:
    headers = [["Host", "shop.org"], ["Cookie", "a=1"], ["Cookie", "b=2"], ["X-Key", "1"], ["X-Key", "2"]]
    request = {"method": "POST", "path": "/x?y", "headers": headers, "body": "e30="}
    environ = drive_script.environ_of(request, b"{}")
    assert (environ["HTTP_HOST"], environ["HTTP_COOKIE"], environ["HTTP_X_KEY"]) == ("shop.org", "a=1; b=2", "1,2")
    scope = drive_script.scope_of(request)
    assert [value for name, value in scope["headers"] if name == b"host"] == [b"shop.org"]
    plain = drive_script.scope_of({**request, "headers": [["Content-Length", "2"]]})
    assert plain["headers"] == [(b"host", b"127.0.0.1:8000"), (b"content-length", b"2")]


def test_a_project_that_may_only_be_read_is_copied_and_its_copies_go_again() -> None:
    """Root may write anywhere, so this is somebody else for a while."""
    mine = os.geteuid()
    if not mine:
        os.seteuid(65534)
    try:
        with scratch_folder() as scratch:
            project = scratch / "only read"
            (project / "closed").mkdir(parents=True)
            (project / "secret").touch(mode=0o000)
            (project / "closed" / "app.py").touch(mode=0o400)
            (project / "closed").chmod(0o500)
            project.chmod(0o500)
            base = BaseEnvironment(
                python=Path(), version="", sites=(), packages={}, fixed=frozenset(), programs=frozenset(), said=""
            )
            own = OwnApp(spec="closed.app:app", project=project, paths=(project,), source="", base=base)
            for _ in range(2):
                copy = in_copy(own, scratch / "copies").project
                assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*")) == ["closed", "closed/app.py"]
                (copy / "closed" / "app.py").write_text("changed", encoding="utf-8")
                (copy / "closed").chmod(0o000)  # an app may close what is its own
            assert (project.stat().st_mode & 0o777, (project / "closed" / "app.py").read_bytes()) == (0o500, b"")
        assert not scratch.exists()
    finally:
        os.seteuid(mine)


@pytest.mark.parametrize(
    ("method", "copy", "named"),
    [("GET", None, 1), ("GET", True, 0), ("POST", None, 0)],
)
def test_files_that_the_app_changes_are_the_copys_or_are_named(
    method: str, *, copy: bool | None, named: int, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "hits.py").write_text(
        textwrap.dedent("""
            async def app(scope, receive, send):
                with open("hits.log", "a") as log:
                    log.write("x")
                if scope["type"] == "lifespan":
                    await receive()
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    return
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"ok"})
        """),
        encoding="utf-8",
    )
    heard = Heard()
    own = OwnRequest(project=project, asked=(Asked(method=method, path="/"),), copy=copy)
    look_at(("hits:app",), own, tmp_path / "scratch", heard)
    assert (project / "hits.log").exists() is bool(named)
    assert (
        sum("changed 1 file of the project while it was looked at (hits.log)" in line for line in heard.lines) == named
    )


def test_the_cpu_of_what_an_app_starts_for_a_request_is_the_apps(tmp_path: Path) -> None:
    burn = "import time\\nwhile time.process_time() < 0.1: pass"
    (tmp_path / "forks.py").write_text(
        f"import subprocess, sys\nBURN = '{burn}'\n"
        "def app(environ, start_response):\n"
        "    subprocess.run([sys.executable, '-c', BURN], check=True)\n"
        "    start_response('200 OK', [('Content-Length', '0')])\n"
        "    return [b'']\n",
        encoding="utf-8",
    )
    looked = look_at(("forks:app",), OwnRequest(project=tmp_path), tmp_path / "scratch", Silent())
    assert looked.driven["forks:app"][0].cpu_us > 95_000


def test_a_named_server_is_skipped_for_the_reason_that_holds(
    project: Path, bare: BaseEnvironment, tmp_path: Path
) -> None:
    app = probed("shop:asgi", project, bare, tmp_path)
    looked = Looked(
        apps=(app,), scenario=AskedScenario(id="it", summary="", interfaces=("asgi",), requests=()), driven={}
    )
    found = catalogue.load()
    reasons = unfit([found.server(name) for name in ("hypercorn-trio", "waitress", "uvicorn-h11")], looked)
    assert reasons == {
        "hypercorn-trio": "it runs asgi_anyio of the catalogue only",
        "waitress": "it serves WSGI apps, and shop:asgi is ASGI",
    }


# --- what must not be said ------------------------------------------------------------------------------------------


def test_values_of_variables_are_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_kept", {})
    secrets.keep({"TOKEN": 's3cr"et', "URL": "postgres://me:p%40ss@host/db", "DEBUG": "true", "PORT": "8000"})
    assert secrets.hidden('it is s3cr"et, p@ss and p%40ss; true 8000') == "it is [TOKEN], [URL] and [URL]; true 8000"
    told = ("sgibench", "run", "--env", "A=b", "--env=C=d", "--header", "Cookie: x", "--body", "{}", "--app", "a:b")
    assert secrets.hidden_words(told) == (
        "sgibench", "run", "--env", "A=…", "--env=C=…", "--header", "Cookie:…", "--body", "…", "--app", "a:b",
    )  # fmt: skip


def test_a_server_serves_the_users_app_with_its_variables(project: Path, tmp_path: Path) -> None:
    words = [
        *("run", "--app", "shop:app", "--project", str(project), "--request", "GET /x", "--server", "waitress"),
        *("--env", "GREETING=s3cr3t-word", "--prepare", "touch prepared", "--blocks", "1", "--window", "0.2s"),
        *("--connections", "2", "--rate", "none"),
        *("--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sgibench.cli", *words], capture_output=True, check=False, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert "The server is" in done.stdout
    assert (project / "prepared").exists()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert all("s3cr3t-word" not in path.read_text(encoding="utf-8", errors="replace") for path in files)
    assert "s3cr3t-word" not in done.stdout + done.stderr


# --- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("each_ms", "usual", "at_once", "fitting"),
    [
        ((0.1,), 64, 8, 64),
        ((6.0,), 64, 8, 64),
        ((10.0,), 64, 8, 32),
        ((20.0,), 64, 8, 16),
        ((500.0,), 64, 8, 16),
        ((500.0,), 64, 32, 64),
        ((500.0,), 10, 8, 10),
        ((0.0, 40.0), 64, 1, 16),
    ],
)
def test_an_app_whose_requests_take_long_is_asked_on_fewer_connections(
    each_ms: tuple[float, ...], usual: int, at_once: int, fitting: int
) -> None:
    asked = tuple(Asked(method="GET", path=f"/{number}") for number, _ in enumerate(each_ms))
    looked = Looked(
        apps=(),
        scenario=AskedScenario(id="requests", summary="", interfaces=("wsgi",), requests=asked),
        driven={"a:app": tuple(Driven(answers=(), cpu_us=each * 1e3) for each in each_ms)},
    )
    assert fitting_connections(looked, usual, at_once) == fitting
