"""The catalogue: what stands in its folders is what there is, and a bad file is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sgibench import catalogue
from sgibench.errors import DeclarationError, UsageError

GOOD = """
from sgibench.model import Server, Variant
SERVER = Server(
    homepage="https://example.invalid",
    command=lambda launch: [launch.python, launch.target],
    variants=(Variant(id="mine", interface="wsgi", concurrency="threads", packages=("x==1",), summary="Mine."),),
)
"""


def folder_with(tmp_path: Path, text: str, room: str = "servers", name: str = "mine.py") -> Path:
    (tmp_path / room).mkdir(exist_ok=True)
    (tmp_path / room / name).write_text(text)
    return tmp_path


def test_a_users_own_folder_adds_to_the_catalogue(tmp_path: Path) -> None:
    found = catalogue.load([folder_with(tmp_path, GOOD)])
    assert found.server("mine").family == "mine"
    assert found.server("waitress").variant.interface == "wsgi"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1", "expected SERVER = Server"),
        ("SERVER = 3", "it is a int"),
        ("def broken(:", "line 1"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        (GOOD.replace('"wsgi"', '"cgi"'), "expected wsgi or asgi or rsgi, got 'cgi'"),
        (GOOD.replace('("x==1",)', '"x==1"'), "variants[0].packages: expected a tuple"),
        (GOOD.replace("id=", "name="), "TypeError"),
        (GOOD.replace('"mine"', '"waitress"'), "is declared in"),
    ],
)
def test_a_broken_server_file_is_named_with_what_was_expected(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        catalogue.load([folder_with(tmp_path, text)])
    assert str(tmp_path / "servers" / "mine.py") in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_app_is_read_without_being_imported(tmp_path: Path) -> None:
    text = '"""Mine."""\nINTERFACE = "asgi"\nPACKAGES = ("starlette==1.0",)\nraise RuntimeError\n'
    app = catalogue.load([folder_with(tmp_path, text, "apps")]).app("mine")
    assert (app.interface, app.packages, app.target, app.summary) == (
        "asgi",
        ("starlette==1.0",),
        "mine:app",
        "Mine.",
    )


def test_a_folder_that_holds_no_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a folder with apps/, servers/, fronts/, services/ or scenarios/"):
        catalogue.load([tmp_path])


def test_a_server_file_never_shadows_the_package_of_its_name() -> None:
    catalogue.load()
    assert "uvicorn" not in sys.modules
    assert "waitress" not in sys.modules


@pytest.mark.parametrize(
    ("pattern", "hint"), [("uvicron", "uvicorn-h11"), ("gunicorn-gthred", "gunicorn-gthread"), ("waitres", "waitress")]
)
def test_an_unknown_name_is_answered_with_the_nearest_ones(pattern: str, hint: str) -> None:
    with pytest.raises(UsageError, match="did you mean") as caught:
        catalogue.select("server", catalogue.load().servers, [pattern])
    assert hint in str(caught.value)


def test_globs_choose_in_the_order_of_the_catalogue() -> None:
    chosen = catalogue.select("server", catalogue.load().servers, ["waitress", "granian-*"])
    assert [server.id for server in chosen] == ["granian-asgi", "granian-rsgi", "granian-wsgi", "waitress"]
