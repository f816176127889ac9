"""What the endpoint keeps between requests: its settings and its clients."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from timpush.aws import make_secrets_manager, make_sqs
from timpush.removal.single import Caller
from timpush.settings import ApiSettings
from timpush.tencent.client import TimPushClient
from timpush.tencent.credentials import Credentials
from timpush.tencent.redaction import guard_logs

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


@dataclass
class Endpoint:
    """What this environment keeps between requests; `cold` until the first has been answered."""

    settings: ApiSettings
    caller: Caller
    cold: bool = True

    @cached_property
    def sqs(self) -> "SQSClient":
        """Made when something is to be queued: a start in which all is settled does without."""
        return make_sqs()


@lru_cache(maxsize=1)
def make_endpoint(settings: ApiSettings) -> Endpoint:
    """Build what the environment keeps."""
    guard_logs()
    secrets = Credentials(make_secrets_manager(), settings.secret_id)
    caller = Caller(TimPushClient(settings.endpoint_url, connections=1), secrets)
    return Endpoint(settings, caller)
