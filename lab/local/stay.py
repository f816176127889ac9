"""The set-up of the local run, left running, with commands to try."""

import shlex
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from local.board import board
from local.emulator import REGION, ROOT
from local.endpoint import STAGE
from local.screen import BOLD, coloured
from local.stack import STACK_NAME

if TYPE_CHECKING:
    from local.run import Local

ENV_FILE = ROOT / ".tools/local.env"
USERS = 100
TAGS = ("gold", "week-pass")
UNKNOWN, UNKNOWN_CODE = ("unknown-1", "unknown-2", "unknown-3"), 70107
REFUSED_TAG, REFUSED_CODE = "refused-tag", 90034
REQUEST = '{"UserTags": [{"To_Account": "user-2", "Tags": ["gold"]}]}'
MESSAGE = (
    '{"UserTags": [{"To_Account": "user-1", "Tags": ["gold"]},'
    f' {{"To_Account": "{UNKNOWN[0]}", "Tags": ["gold"]}}]}}'
)


def stay(local: "Local", users: int = USERS) -> None:
    """Print how to use the application, and wait for Ctrl-C. `users` have tags at first."""
    make_users(local, users)
    write_variables(local, ENV_FILE)
    try:
        with board(local.endpoint_url) as board_url:
            print(text(local, users, board_url), flush=True)
            stopped = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stopped.set())
            stopped.wait()
    finally:
        ENV_FILE.unlink(missing_ok=True)


def make_users(local: "Local", users: int) -> None:
    """Let the stand-in know every user but a few."""
    server = local.timpush
    server.knows_everyone = True
    server.tags.update({f"user-{number}": set(TAGS) for number in range(1, users + 1)})
    server.account_codes.update(dict.fromkeys(UNKNOWN, UNKNOWN_CODE))
    server.refused_tags[REFUSED_TAG] = REFUSED_CODE


def variables(local: "Local") -> dict[str, str]:
    """What the commands need, as variables of a shell."""
    api = f"{local.endpoint_url}/restapis/{local.outputs['ApiId']}/{STAGE}"
    return {
        "AWS_ENDPOINT_URL": local.endpoint_url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "STACK_NAME": STACK_NAME,
        "QUEUE_URL": local.outputs["QueueUrl"],
        "DEAD_LETTER_QUEUE_URL": local.outputs["DeadLetterQueueUrl"],
        "API_URL": f"{api}/_user_request_/v1/remove-tags",
        "TIMPUSH_URL": local.timpush.url,
    }


def write_variables(local: "Local", path: Path) -> None:
    """Write a file that a shell can source. No proxy is asked for what is on this machine."""
    lines = [
        "unset AWS_PROFILE AWS_SESSION_TOKEN",
        'export NO_PROXY="${NO_PROXY:-${no_proxy-}},127.0.0.1,localhost"',
        'export no_proxy="$NO_PROXY"',
    ]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables(local).items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def text(local: "Local", users: int, board_url: str) -> str:
    """What is running, and commands to try."""

    def head(words: str) -> str:
        return coloured(words, BOLD)

    return f"""
{head("Running")}
  TIMPush stand-in   {local.timpush.url}
  AWS emulator       {local.endpoint_url}
  queue              {local.outputs["QueueUrl"]}
  dead-letter queue  {local.outputs["DeadLetterQueueUrl"]}
  endpoint           {variables(local)["API_URL"]}
  operators' page    {board_url}   (open it in a browser)

The stand-in knows any user but {", ".join(UNKNOWN)} (code {UNKNOWN_CODE}, account not imported).
A call with the tag {REFUSED_TAG} fails as one with a tag over 50 bytes does (code {REFUSED_CODE}).
user-1 to user-{users} have the tags {" and ".join(TAGS)}.

{head("In another terminal, first")}
  . {shlex.quote(str(ENV_FILE))}

{head("Give a user a tag, send a message, look at what failed, and at the user's tags")}
  curl -s -w '\\n' -X PUT "$TIMPUSH_URL/_control/tags" -d '{{"user-1": ["silver"]}}'
  aws --endpoint-url "$AWS_ENDPOINT_URL" sqs send-message --queue-url "$QUEUE_URL" \\
    --message-body '{MESSAGE}'
  aws --endpoint-url "$AWS_ENDPOINT_URL" sqs receive-message --queue-url "$DEAD_LETTER_QUEUE_URL" \\
    --message-attribute-names All --wait-time-seconds 20 --visibility-timeout 0
  curl -s "$TIMPUSH_URL/_control/tags" | grep -o '"user-1": [^]]*]'

{head("Send a request")}
  curl -s -w '\\n' --aws-sigv4 aws:amz:{REGION}:execute-api --user test:test "$API_URL" \\
    -H 'Content-Type: application/json' -d '{REQUEST}'

{head("Operate it")}
  ./ops doctor --stack-name {STACK_NAME}
  folder=$(mktemp -d); printf 'user-3\\nuser-4\\n' > "$folder/ids.txt"
  ./ops send "$folder/ids.txt" --tag gold --stack-name {STACK_NAME}
  ./ops dlq list --stack-name {STACK_NAME}

Ctrl-C ends it."""
