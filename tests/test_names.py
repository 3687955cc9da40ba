"""Names that are cut stay apart, fit, and keep both their ends as long as that is possible."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import catalogue
from sgibench.names import SHORTEST, shortened

ids = st.text("abgu-.0123", min_size=1, max_size=30)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(ids, unique=True, max_size=60), st.integers(SHORTEST, 30), st.sampled_from(["…", "..."]))
def test_different_names_stay_different_and_fit(names: list[str], width: int, cut: str) -> None:
    short = shortened(names, width, cut)
    assert set(short) == set(names)
    assert len(set(short.values())) == len(names)
    for name in names:
        assert len(short[name]) <= width
        assert len(name) > width or short[name] == name


@pytest.mark.parametrize("width", [10, 12, 16, 20])
def test_all_servers_of_the_catalogue_can_be_told_apart(width: int) -> None:
    names = [server.id for server in catalogue.load().servers]
    short = shortened(names, width)
    assert len(set(short.values())) == len(names)
    assert max(map(len, short.values())) <= width


def test_a_name_is_cut_in_its_middle() -> None:
    assert shortened(["granian-asgi-uvloop", "granian-asgi-asyncio", "waitress"], 13) == {
        "granian-asgi-uvloop": "grania…uvloop",
        "granian-asgi-asyncio": "grania…syncio",
        "waitress": "waitress",
    }


def test_what_all_names_end_with_gives_way_to_what_tells_them_apart() -> None:
    names = [f"gunicorn-gthread wsgi_{app}+postgresql" for app in ("django", "sql")]
    assert [*shortened(names, 26).values()] == ["gunicorn-gthread w…django…", "gunicorn-gthread wsgi_sql…"]
    names = [f"{front}-rr2+gunicorn-gthread+py3.12" for front in ("nginx", "haproxy")]
    assert [*shortened(names, 20).values()] == ["nginx-rr2+gunicorn-…", "haproxy-rr2+gunicor…"]
