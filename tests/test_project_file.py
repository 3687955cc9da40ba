"""`sgibench init` and what it writes: options that a project holds, and the command line that wins over them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgibench.cli.config import read, without_table
from sgibench.cli.init import write_table
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
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert candidates(tmp_path) == ["main:app", "shop.wsgi:application", "odd-name.py:create_app()", "shop.web:thing"]
