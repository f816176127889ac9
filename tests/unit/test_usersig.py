"""A UserSig is made and read as Tencent's libraries do, and garbage is refused in silence."""

import base64
import json
import traceback
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from timpush.errors import UserSigError
from timpush.tencent.usersig import Claims, decode, sign, verify

# Published by Tencent for demonstration; it opens no real app.
DEMO_KEY = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"
# Made by Tencent's own Python library, its clock stopped at 1600000000.
VECTOR = (
    "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUFmSlAKUMTAyiAyqVWFGQW"
    "pYJkTE1NjRDiJZm5YFEzNPXFmekgGwyjTAPy0l2y3BNL01KDMwPynUorUjwizV29jb1CUhyzfAMsjYNNvMvC"
    "jH1tlWoBGhAzGw__"
)
VECTOR_SIGNATURE = "1Z5PngDjGaufeSiPoBuxdHY7EK3JTdAjMP93S4KvV3M="
VECTOR_CLAIMS = Claims("xiaojun", 1400000000, 1600000000, 15552000, VECTOR_SIGNATURE)


def to_url(data: bytes) -> str:
    return base64.b64encode(data).decode().replace("+", "*").replace("/", "-").replace("=", "_")


def from_url(text: str) -> bytes:
    return base64.b64decode(text.replace("*", "+").replace("-", "/").replace("_", "="))


def usersig_of(document: Any) -> str:
    """The UserSig that holds `document` as JSON, or this very text."""
    text = document if isinstance(document, str) else json.dumps(document)
    return to_url(zlib.compress(text.encode()))


def document(**changed: Any) -> dict[str, Any]:
    fields = {
        "ver": "2.0",
        "identifier": "admin",
        "sdkappid": 1,
        "expire": 60,
        "time": 9,
        "sig": "s",
    }
    return {f"TLS.{name}": value for name, value in (fields | changed).items()}


def number_of_seconds(text: str) -> str:
    """A document whose time is written so, which need not be a number that JSON allows."""
    return json.dumps(document(time="@")).replace('"@"', text)


def refusal(usersig: str) -> UserSigError:
    with pytest.raises(UserSigError) as caught:
        decode(usersig)
    with pytest.raises(UserSigError):
        verify(usersig, DEMO_KEY)
    return caught.value


class TestVector:
    def test_signing_gives_the_json_that_tencents_library_gives(self) -> None:
        signed = sign(1400000000, "xiaojun", DEMO_KEY, 1600000000, 15552000)
        assert json.loads(zlib.decompress(from_url(signed))) == {
            "TLS.ver": "2.0",
            "TLS.identifier": "xiaojun",
            "TLS.sdkappid": 1400000000,
            "TLS.expire": 15552000,
            "TLS.time": 1600000000,
            "TLS.sig": VECTOR_SIGNATURE,
        }

    def test_what_tencents_library_made_is_read_without_a_key(self) -> None:
        assert decode(VECTOR) == VECTOR_CLAIMS
        assert decode(VECTOR).expires_at == 1615552000

    def test_what_tencents_library_made_is_verified_with_its_key(self) -> None:
        assert verify(VECTOR, DEMO_KEY)
        assert not verify(VECTOR, DEMO_KEY.upper())


NEEDED = [name for name in document() if name != "TLS.ver"]
ODD: list[Any] = [None, "x", [], {}]
KEYS = st.text(min_size=1)
IDENTIFIERS = st.text(min_size=1, max_size=64)
NUMBERS = st.integers(0, 2**40)


class TestRoundTrip:
    @given(NUMBERS, IDENTIFIERS, KEYS, NUMBERS, NUMBERS)
    def test_what_was_signed_is_read_and_verified(
        self, sdkappid: int, identifier: str, key: str, issued_at: int, validity: int
    ) -> None:
        signed = sign(sdkappid, identifier, key, issued_at, validity)
        claims = decode(signed)
        assert claims[:4] == (identifier, sdkappid, issued_at, validity)
        assert claims.expires_at == issued_at + validity
        assert verify(signed, key)
        assert not verify(signed, key + "x")

    @given(IDENTIFIERS, KEYS)
    def test_it_is_written_with_characters_that_need_hardly_any_escape(
        self, identifier: str, key: str
    ) -> None:
        signed = sign(1400000000, identifier, key, 1600000000, 60)
        assert set(signed) <= set(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-_"
        )

    @pytest.mark.parametrize(
        "changed",
        [{"identifier": "other"}, {"sdkappid": 2}, {"expire": 61}, {"time": 10}, {"sig": "forged"}],
        ids=lambda changed: next(iter(changed)),
    )
    def test_a_claim_that_was_changed_is_not_verified(self, changed: dict[str, Any]) -> None:
        signed = json.loads(zlib.decompress(from_url(sign(1, "admin", DEMO_KEY, 9, 60))))
        assert verify(usersig_of(signed), DEMO_KEY)
        forged = signed | {f"TLS.{name}": value for name, value in changed.items()}
        assert not verify(usersig_of(forged), DEMO_KEY)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4
)
ANY_CLAIMS = st.fixed_dictionaries(dict.fromkeys(document(), SCALARS))


class TestGarbage:
    @pytest.mark.parametrize(
        "usersig",
        [
            "",
            " ",
            "eJ",
            "eJ...",
            "not a UserSig",
            VECTOR[1:],
            VECTOR[:-8],
            VECTOR[:100],
            VECTOR + "\n",
            VECTOR.rstrip("_"),
            "名前",
            "\ud800",
            "\x00",
            to_url(b"no zlib"),
            to_url(b""),
            to_url(zlib.compress(b"\xff\xfe")),
            to_url(zlib.compress(b"no JSON")),
            to_url(zlib.compress(json.dumps(document()).encode())[:-4]),
            usersig_of([]),
            usersig_of(None),
            usersig_of({}),
            usersig_of("[" * 60_000),
            *(usersig_of({k: v for k, v in document().items() if k != gone}) for gone in NEEDED),
            *(usersig_of(document(time=value)) for value in (*ODD, "1" * 5_000)),
            *(usersig_of(document(sdkappid=value)) for value in ODD),
            *(usersig_of(document(expire=value)) for value in ODD),
            *(usersig_of(number_of_seconds(value)) for value in ("NaN", "Infinity", "1e999")),
            usersig_of(number_of_seconds("9" * 5_000)),
        ],
    )
    def test_it_is_refused_and_not_repeated(self, usersig: str) -> None:
        error = refusal(usersig)
        shown = "".join(traceback.format_exception(error)) + repr(error.args)
        assert error.message == "the UserSig cannot be decoded"
        assert error.__context__ is None
        assert error.__cause__ is None
        assert len(usersig) < 3 or usersig not in shown

    def test_a_bomb_is_refused_long_before_it_has_swollen(self) -> None:
        spaces = document() | {"TLS.pad": " " * 5_000_000}
        assert len(usersig_of(spaces)) < 10_000
        refusal(usersig_of(spaces))

    @given(st.text(st.characters()) | st.binary().map(to_url))
    def test_text_that_is_anything_is_read_or_refused(self, text: str) -> None:
        assert read_or_refuse(text)

    @given(ANY_JSON | ANY_CLAIMS)
    @example(document(identifier="\ud800", sig="\udfff"))
    def test_json_that_is_anything_is_read_or_refused(self, value: Any) -> None:
        assert read_or_refuse(usersig_of(value))


def read_or_refuse(usersig: str) -> bool:
    """Whether it is either refused or read, and, if read, can be verified without a crash."""
    try:
        claims = decode(usersig)
    except UserSigError:
        return True
    assert verify(usersig, DEMO_KEY) in (True, False)
    return [type(claim) for claim in claims] == [str, int, int, int, str]
