"""Prefer headers (RFC 7240): whether respond-async is among the preferences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remove_tags_api.request import prefers_async
from support.examples import EXAMPLES


@pytest.mark.parametrize(
    "prefer",
    [
        "respond-async",
        "Respond-Async",
        " respond-async ",
        "respond-async, wait=10",
        "wait=10, respond-async",
        "wait=10,respond-async",
        "return=minimal; foo=bar, respond-async",
        'foo="a, b", respond-async',
        'foo="a \\" b", respond-async',
        "respond-async; foo=bar",
        'respond-async=""',
        ", respond-async,,",
        'foo="open, respond-async',
    ],
)
def test_is_found_wherever_it_stands(prefer: str) -> None:
    assert prefers_async(prefer)


@pytest.mark.parametrize(
    "prefer",
    [
        "",
        ",",
        "respond-sync",
        "respond-asynchronously",
        "x-respond-async",
        "wait=10",
        'foo="respond-async"',
        'foo="a, respond-async, b"',
        "foo; respond-async",
        "foo=respond-async",
        "respond-async=no",
        'respond-async="a;b"',
        '"respond-async"',
    ],
)
def test_is_not_taken_from_anything_else(prefer: str) -> None:
    assert not prefers_async(prefer)


names = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
values = names | st.text('abc ,;=\\"').map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
preferences = st.builds("{}={}".format, names, values)


@EXAMPLES
@given(before=st.lists(preferences), after=st.lists(preferences))
def test_is_found_among_any_other_preferences_and_only_where_it_is(
    before: list[str], after: list[str]
) -> None:
    others = [one for one in before + after if not one.startswith("respond-async")]
    assert not prefers_async(", ".join(others))
    assert prefers_async(", ".join([*others, "respond-async"]))
    assert prefers_async(", ".join(["respond-async", *others]))


@EXAMPLES
@given(prefer=st.text())
def test_any_text_is_read(prefer: str) -> None:
    prefers_async(prefer)
