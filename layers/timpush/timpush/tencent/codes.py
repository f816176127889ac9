"""Tencent's error codes as data: the class of each, and what it means.

The codes are collected from Tencent's error pages: https://trtc.io/document/34348 (n.d.),
https://cloud.tencent.com/document/product/269/1519 (n.d.) and
https://www.tencentcloud.com/zh/document/product/1047/74196 (2026-03-10). The class of a code is
our reading of those texts. Two codes say that an account does not exist (70107, 90048): both are
called "account not imported", as an account exists once it is imported, or has logged in.
https://www.tencentcloud.com/document/product/1047/67814 (2025-10-23)
"""

from timpush.errors import (
    CallError,
    ConfigurationError,
    CredentialsError,
    InputError,
    RateLimitError,
    TransientError,
    UnknownError,
)

_T, _L, _C, _G, _P = (
    TransientError,
    RateLimitError,
    CredentialsError,
    ConfigurationError,
    InputError,
)

CODES: dict[int, tuple[type[CallError], str]] = {
    # Gateway
    60002: (_G, "HTTP or URL cannot be parsed"),
    60003: (_P, "request JSON cannot be parsed"),
    60004: (_T, "account check failed"),
    60005: (_T, "account check failed"),
    60006: (_G, "SDKAppID invalid"),
    60007: (_L, "REST calls over the limit"),
    60008: (_T, "service timeout"),
    60009: (_G, "resource error: wrong path"),
    60010: (_C, "admin rights needed"),
    60011: (_L, "requests of the app over the limit"),
    60012: (_G, "SDKAppID missing in the URL"),
    60013: (_T, "the server's own response cannot be parsed"),
    60014: (_T, "account check timed out"),
    60015: (_P, "account is no string"),
    60016: (_G, "app disabled"),
    60017: (_G, "request disabled"),
    60018: (_L, "too frequent"),
    60019: (_L, "too frequent"),
    60020: (_G, "plan not bought, expired or in arrears"),
    60021: (_G, "source IP not allowed"),
    60025: (_C, "wrong SDKAppID, identifier, UserSig or contenttype in the URL"),
    60026: (_G, "domain or SDKAppID of another site"),
    60027: (_G, "product type may not use this API"),
    60028: (_G, "daily volume of the trial edition used up"),
    # Account and UserSig
    70001: (_C, "UserSig expired"),
    70002: (_C, "UserSig empty"),
    70003: (_C, "UserSig illegal"),
    70004: (_C, ""),
    70005: (_C, "UserSig check failed"),
    70006: (_C, ""),
    70007: (_C, ""),
    70008: (_C, ""),
    70009: (_C, "signature made with another key"),
    70010: (_C, ""),
    70013: (_C, "identifier is not the signed one"),
    70014: (_C, "SDKAppID is not the signed one"),
    70015: (_G, ""),
    70016: (_G, "key not found: SDKAppID or region"),
    70017: (_T, ""),
    70018: (_C, ""),
    70019: (_C, ""),
    70020: (_G, "SDKAppID not found: SDKAppID or region"),
    70050: (_C, "too many failed checks: wait a minute"),
    70051: (_C, "account on the blocklist"),
    70052: (_C, "UserSig invalidated"),
    70101: (_P, ""),
    70102: (_P, ""),
    70103: (_P, ""),
    70104: (_P, ""),
    70105: (_P, ""),
    70106: (_P, ""),
    70107: (_P, "account not imported"),
    70113: (_P, ""),
    70114: (_G, "security restriction"),
    70115: (_G, ""),
    70140: (_G, ""),
    70145: (_G, ""),
    70169: (_T, "server-side timeout"),
    70201: (_T, ""),
    70202: (_T, ""),
    70203: (_T, ""),
    70204: (_G, ""),
    70205: (_T, ""),
    70206: (_P, "illegal number in a batch"),
    70207: (_T, ""),
    70208: (_T, ""),
    70209: (_G, ""),
    70210: (_G, ""),
    70211: (_G, ""),
    70212: (_T, ""),
    70213: (_T, ""),
    70214: (_C, ""),
    70221: (_C, ""),
    70222: (_T, ""),
    70225: (_T, ""),
    70231: (_T, ""),
    70236: (_C, ""),
    70308: (_T, ""),
    70346: (_C, ""),
    70347: (_C, ""),
    70348: (_T, ""),
    70362: (_T, ""),
    70398: (_G, "too many accounts for the plan"),
    70399: (_P, "account deleted"),
    70401: (_T, ""),
    70402: (_P, "illegal parameters"),
    70403: (_C, "admin rights needed"),
    70500: (_T, "internal error"),
    71000: (_G, "account deletion unsupported"),
    72000: (_G, "daily active users over the quota"),
    72001: (_G, "feature off"),
    72002: (_G, "monthly active users over the quota"),
    72010: (_G, "client frequency"),
    72011: (_G, "feature off"),
    72012: (_G, "feature off"),
    # Other families
    10002: (_T, "group service, internal error"),
    20004: (_T, "message service, network"),
    20005: (_T, "message service, internal"),
    80005: (_G, "service stopped: expired or in arrears"),
    # Push
    90001: (_P, "bad JSON"),
    90009: (_C, "admin rights needed"),
    90018: (_P, "too many accounts"),
    90020: (_P, "tag over 50 bytes"),
    90032: (_P, "too many tags"),
    90034: (_P, "tag refused as over 50 bytes"),
    90035: (_P, "tag used with the other account type"),
    90045: (_G, "Push not enabled"),
    90048: (_P, "account not imported"),
    90994: (_T, "internal error"),
    90995: (_T, "internal error"),
    91000: (_T, "internal error"),
}
"""Code -> class and meaning (empty: no source gives one)."""

ACCOUNT_CODES = frozenset({60015, 70107, 70399, 90048})
"""Input codes that concern the account itself: no choice of tags can help."""

SEARCHED_CODES = frozenset({60002})
"""Configuration codes that the data of one user may cause as well: the users of the call are
searched as after an input code, and only a code that every one of them gets is a wrong set-up."""

USERSIG_CODES = range(70001, 70100)
"""Codes about the UserSig: one of them that is not in `CODES` counts as a refused UserSig."""


def call_error(code: int, info: str) -> CallError:
    """The error for `code` (an ErrorCode of TIMPush), with Tencent's ErrorInfo as its message."""
    unlisted = CredentialsError if code in USERSIG_CODES else UnknownError
    error, _ = CODES.get(code, (unlisted, ""))
    return error(code, info)


def meaning(code: int | str) -> str:
    """What a code stands for, in our words; empty when no source gives a meaning."""
    return CODES[code][1] if isinstance(code, int) and code in CODES else ""


def explain(error: CallError) -> str:
    """The error's text, with what its code means."""
    return f"{error} ({meaning(error.code)})" if meaning(error.code) else str(error)
