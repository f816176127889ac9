"""What can go wrong, as one tree, and the class of each of Tencent's codes.

TimPushError                 code, message, and whether a retry can help
├── SettingsError            the environment names something missing or impossible
├── MalformedMessageError    a message body breaks the contract; holds every fault
├── SecretError              the secret cannot be read, or what it holds cannot be used
│   └── UserSigError         it is no UserSig, another app's or account's, or it has expired
├── RotationError            a step of the UserSig's rotation cannot be done
└── CallError                what TIMPush (or the way to it) said of a call or of one user
    ├── TransientError       no reply, no sense in it, or a code that says "try again"
    │   └── ConnectionReuseError   a kept connection died before any byte of a reply
    ├── RateLimitError       the app calls too often
    ├── CredentialsError     the UserSig was refused
    ├── ConfigurationError   wrong region, app disabled, service expired, or a fault of ours
    ├── InputError           this user or tag can never succeed
    └── UnknownError         a code nobody has documented

`CODES` maps each documented code to its class. Codes are collected from Tencent's error pages:
https://trtc.io/document/34348 (n.d.), https://cloud.tencent.com/document/product/269/1519 (n.d.)
and https://www.tencentcloud.com/zh/document/product/1047/74196 (2026-03-10). The classes are our
reading of those texts.
"""


class TimPushError(Exception):
    """Base of all errors of this package. Its text holds a code and a message, never a URL."""

    retryable = False

    def __init__(self, code: int | str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else str(self.code)


class SettingsError(TimPushError):
    """The environment lacks a value or holds an impossible one; names each."""

    def __init__(self, message: str) -> None:
        super().__init__("Settings", message)


class MalformedMessageError(TimPushError):
    """A message body that breaks the contract.

    `faults` holds (JSON pointer, rule) pairs, at least one.
    """

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__(
            "Malformed", "; ".join(f"{place or 'body'} {rule}" for place, rule in faults)
        )
        self.faults = faults


class SecretError(TimPushError):
    """The secret cannot be read, or what it holds cannot be used; says what to mend."""

    retryable = True

    def __init__(self, message: str) -> None:
        super().__init__("Secret", message)


class UserSigError(SecretError):
    """The UserSig is none, belongs to another app or account, or has expired."""


class RotationError(TimPushError):
    """A step of the UserSig's rotation cannot be done; says what to mend."""

    def __init__(self, message: str) -> None:
        super().__init__("Rotation", message)


class CallError(TimPushError):
    """A call, or one user of it, that TIMPush did not settle."""

    label = "unknown"

    @property
    def meaning(self) -> str:
        """What the code stands for, in our words; empty when nobody has said."""
        return CODES[self.code][1] if isinstance(self.code, int) and self.code in CODES else ""


class TransientError(CallError):
    """No reply, a reply without sense, or a code that says "try again"."""

    label = "transient"
    retryable = True


class ConnectionReuseError(TransientError):
    """A connection kept from an earlier call died before any byte of the reply."""


class RateLimitError(CallError):
    """The app calls too often."""

    label = "rate_limited"
    retryable = True


class CredentialsError(CallError):
    """The UserSig was refused."""

    label = "credentials"
    retryable = True


class ConfigurationError(CallError):
    """Nothing will work until somebody mends the set-up."""

    label = "configuration"
    retryable = True


class InputError(CallError):
    """This user or tag can never succeed."""

    label = "input"


class UnknownError(CallError):
    """A code nobody has documented: never taken for hopeless."""

    label = "unknown"
    retryable = True


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
    90034: (_P, "tag over 50 bytes"),
    90035: (_P, "tag used with the other account type"),
    90045: (_G, "Push not enabled"),
    90048: (_P, "account does not exist"),
    90994: (_T, "internal error"),
    90995: (_T, "internal error"),
    91000: (_T, "internal error"),
}
"""Code -> class and meaning (empty: no source gives one). A code that is not here is unknown."""

ACCOUNT_CODES = frozenset({60015, 70107, 70399, 90048})
"""Input codes that speak of the account itself: no choice of tags can mend them."""


def call_error(code: int, info: str) -> CallError:
    """The error of `code` (an ErrorCode of TIMPush), with Tencent's ErrorInfo as its message."""
    error, _ = CODES.get(code, (UnknownError, ""))
    return error(code, info)
