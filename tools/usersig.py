#!/usr/bin/env python3
"""Sign, decode or verify a UserSig on the command line.

The key and the UserSig are asked for, or read from standard input, a line each: on a command line
they would stay in the shell's history.
"""

import argparse
import getpass
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "layers/timpush"))

from timpush.errors import UserSigError
from timpush.tencent import usersig

DAY_SECONDS = 86_400
HOW_TO_GIVE = (
    "type it at a terminal, or pipe it in, such as: tools/usersig.py decode < FILE "
    "(verify reads two lines, the UserSig and the key)"
)
MAX_DAYS = 3_650  # Tencent's limit; https://trtc.io/document/34456 (n.d.)


def main() -> int:
    """Do what the command line asks for; 0 when done, 1 when a UserSig is not good."""
    options = make_parser().parse_args()
    try:
        return int(options.command(options))
    except UserSigError as error:
        print(error.message, file=sys.stderr)
        return 1


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="usersig", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sign = commands.add_parser("sign", help="make a UserSig; asks for the key")
    sign.set_defaults(command=do_sign)
    sign.add_argument("--sdkappid", type=positive, required=True, help="SDKAppID of the app")
    sign.add_argument("--identifier", default="administrator", help="account (%(default)s)")
    sign.add_argument("--days", type=days, default=3, help="days it is valid (%(default)s)")
    sign.add_argument("--json", action="store_true", help="print the value of the secret instead")
    decode = commands.add_parser("decode", help="show what a UserSig says; asks for it")
    decode.set_defaults(command=do_decode)
    verify = commands.add_parser(
        "verify", help="check signature and expiry; asks for the UserSig, then for the key"
    )
    verify.set_defaults(command=do_verify)
    return parser


def positive(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)


def days(text: str) -> int:
    """A number of days that a UserSig may live."""
    if positive(text) > MAX_DAYS:
        raise argparse.ArgumentTypeError(f"must be at most {MAX_DAYS}")
    return int(text)


def ask(what: str) -> str:
    """The answer, typed unseen at a terminal or the next line of standard input."""
    text = getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not text.strip():
        sys.exit(f"usersig: no {what} was given: {HOW_TO_GIVE}")
    return text.strip()


def do_sign(options: argparse.Namespace) -> int:
    signed = usersig.sign(
        options.sdkappid,
        options.identifier,
        ask("key"),
        int(time.time()),
        options.days * DAY_SECONDS,
    )
    secret = {"sdkappid": options.sdkappid, "identifier": options.identifier, "usersig": signed}
    print(json.dumps(secret) if options.json else signed)
    return 0


def do_decode(_: argparse.Namespace) -> int:
    show(usersig.decode(ask("UserSig")))
    return 0


def do_verify(_: argparse.Namespace) -> int:
    signed = ask("UserSig")
    claims = usersig.decode(signed)
    genuine = usersig.verify(signed, ask("key"))
    show(claims)
    print(f"{'signature':<12}{'made with this key' if genuine else 'made with another key'}")
    return 0 if genuine and time.time() <= claims.expires_at else 1


def show(claims: usersig.Claims) -> None:
    left = claims.expires_at - int(time.time())
    for name, value in (
        ("identifier", claims.identifier),
        ("sdkappid", claims.sdkappid),
        ("issued", moment(claims.issued_at)),
        ("expires", moment(claims.expires_at)),
        ("left", f"{left} s" if left >= 0 else f"expired {-left} s ago"),
    ):
        print(f"{name:<12}{value}")


def moment(seconds: int) -> str:
    """Unix seconds as a date, or as they are when no calendar goes that far."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return str(seconds)


if __name__ == "__main__":
    sys.exit(main())
