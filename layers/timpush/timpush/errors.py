"""What can go wrong, as one tree.

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

The class of each of Tencent's codes is in `timpush.tencent.codes`.
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
