"""What can go wrong, as one tree.

TimPushError                 code, message, and whether a retry can help
├── SettingsError            a setting is missing or impossible
├── MalformedMessageError    a message body breaks the contract; holds every fault
├── SecretError              the secret cannot be read, or its value cannot be used
│   └── UserSigError         not a valid UserSig, or not this app's or account's, or expired
├── RotationError            a step of the UserSig's rotation failed
└── CallError                why a call, or one user of it, failed
    ├── TransientError       no reply, or a code that says "try again"
    │   ├── ConnectionReuseError   a kept connection was closed before any byte of a reply
    │   └── OddReplyError    a reply that is not as documented
    ├── RateLimitError       the app calls too often
    ├── CredentialsError     the UserSig was refused
    ├── ConfigurationError   wrong region, app disabled, service expired, or our own fault
    ├── InputError           this user or tag can never succeed
    └── UnknownError         a code that is not documented
        └── FailWithoutCodeError   ActionStatus is FAIL and ErrorCode is 0

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
    """A setting is missing or impossible; the text names each."""

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
    """The secret cannot be read, or its value cannot be used; the text says how to fix it."""

    retryable = True

    def __init__(self, message: str) -> None:
        super().__init__("Secret", message)


class UserSigError(SecretError):
    """Not a valid UserSig, or one of another app or account, or an expired one."""


class RotationError(TimPushError):
    """A step of the UserSig's rotation failed; the text says how to fix it."""

    def __init__(self, message: str) -> None:
        super().__init__("Rotation", message)


class CallError(TimPushError):
    """Why a call, or one user of it, failed."""

    label = "unknown"


class TransientError(CallError):
    """No reply, a reply that is not as documented, or a code that says "try again"."""

    label = "transient"
    retryable = True


class ConnectionReuseError(TransientError):
    """A connection kept from an earlier call was closed before any byte of the reply."""


class OddReplyError(TransientError):
    """A reply that is not as documented: it says nothing reliable about any user.

    `code` is "HTTP" and the status when that is not 200, "NotJSON", "ReplyTooLarge" or "OddReply".
    """


class RateLimitError(CallError):
    """The app calls too often."""

    label = "rate_limited"
    retryable = True


class CredentialsError(CallError):
    """The UserSig was refused."""

    label = "credentials"
    retryable = True


class ConfigurationError(CallError):
    """No call will succeed until the set-up is fixed."""

    label = "configuration"
    retryable = True


class InputError(CallError):
    """This user or tag can never succeed."""

    label = "input"


class UnknownError(CallError):
    """A code that is not documented, and so never a reason to reject a user."""

    label = "unknown"
    retryable = True


class FailWithoutCodeError(UnknownError):
    """The whole call failed with ErrorCode 0: the service, not a user, is the likely cause."""
