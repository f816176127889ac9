"""The command `rotate`: its options and what it prints."""

import click

from timpush_ops.options import target
from timpush_ops.output import examples, output_option, show_json
from timpush_ops.rotation import Patience, rotate_now
from timpush_ops.stack import TargetError, make_client, resolve


@click.command(epilog=examples("rotate --stack-name NAME"))
@target("secret_id", "rotation_log_group")
@output_option
def rotate(
    stack_name: str | None, secret_id: str | None, rotation_log_group: str | None, output: str
) -> None:
    """Sign a new UserSig now, and wait until it is current.

    After a change of the key or of TimPushRegion, and when a rotation failed or is stuck: says why
    if it fails again. Workers read the new UserSig by themselves.
    """
    needed = {"secret_id": secret_id, "rotation_log_group": rotation_log_group}
    try:
        found = resolve(stack_name, needed)
    except TargetError as error:
        raise TargetError(f"{error}; a stack rotates only with SigningKeySecretArn") from None
    clients = make_client("secretsmanager"), make_client("logs")
    version = rotate_now(*clients, found["secret_id"], found["rotation_log_group"], Patience())
    if output == "json":
        show_json({"SecretId": found["secret_id"], "VersionId": version})
    else:
        click.echo(f"the UserSig was rotated: version {version} is current")
