"""Removes from a text what it repeats of the UserSig, cut, encoded or in lines. No logging here."""

import re
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from urllib.parse import unquote

MAX_SHARED = 15
"""So many characters in a row may be left of a UserSig (of about 250)."""
DECODINGS = 3
"""A UserSig is found though it is URL-encoded so many times."""

_SPELLING = str.maketrans(f"*-_{ascii_uppercase}", f"+/={ascii_lowercase}")
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_PIECE = (MAX_SHARED + 1) // 2
"""A run that is too long holds a whole piece, wherever in it the pieces of a text begin."""


def redact(text: str, usersig: str) -> str:
    """`text` without what it shares with the UserSig in runs of more than `MAX_SHARED` characters.

    Runs are found in either spelling of base64, across white space, and URL-encoded up to
    `DECODINGS` times.
    """
    pieces = _pieces(usersig, _PIECE)
    while len(text) > MAX_SHARED and _may_share(text, pieces):
        cleaned = _without_runs(text, _pieces(usersig, MAX_SHARED + 1))
        if cleaned == text:
            break
        text = cleaned  # checked again: what is left may form another run
    return text


@lru_cache(maxsize=4)
def _pieces(usersig: str, size: int) -> frozenset[str]:
    spelled = _spell(usersig)
    return frozenset(spelled[start : start + size] for start in range(len(spelled) - size + 1))


def _spell(text: str) -> str:
    return text.translate(_SPELLING)


def _may_share(text: str, pieces: frozenset[str]) -> bool:
    """A quick look, as almost no text shares anything."""
    plain = "".join(text.split())
    for _ in range(DECODINGS if "%" in plain else 0):
        plain = "".join(unquote(plain, "latin-1").split())
    plain = _spell(plain)
    return any(plain[start : start + _PIECE] in pieces for start in range(0, len(plain), _PIECE))


def _without_runs(text: str, runs: frozenset[str]) -> str:
    places = _decoded(text)
    plain = _spell("".join(char for char, _, _ in places))
    size = MAX_SHARED + 1
    cleaned, copied = [], 0
    for start in range(len(plain) - size + 1):
        if plain[start : start + size] in runs:
            begin, end = places[start][1], places[start + size - 1][2]
            if begin >= copied:
                cleaned.append(text[copied:begin] + "***")
            copied = max(copied, end)
    return "".join(cleaned) + text[copied:]


def _decoded(text: str) -> list[tuple[str, int, int]]:
    """The characters of a text without white space and URL-decoded, each with its place there."""
    chars = [(char, at, at + 1) for at, char in enumerate(text) if not char.isspace()]
    for _ in range(DECODINGS):
        plain = "".join(char for char, _, _ in chars)
        escapes = {found.start(): found[0] for found in _ESCAPE.finditer(plain)}
        decoded, at = [], 0
        while at < len(chars):
            size = len(escapes.get(at, " "))
            char = chr(int(escapes[at][1:], 16)) if size > 1 else chars[at][0]
            if not char.isspace():
                decoded.append((char, chars[at][1], chars[at + size - 1][2]))
            at += size
        chars = decoded
    return chars
