"""The deployed rotation: it reads the key, calls TIMPush and moves the label; or leaves it."""

import json

import pytest

from local.rotation import rotate
from local.run import Local

KEY_ID = "timpush-signing-key"


def current(local: Local) -> str:
    """The version in use."""
    secrets = local.client("secretsmanager")
    version: str = secrets.get_secret_value(SecretId=local.outputs["SecretArn"])["VersionId"]
    return version


def rotate_now(local: Local) -> None:
    clients = local.client("secretsmanager"), local.client("lambda")
    rotate(*clients, local.outputs["SecretArn"], local.outputs["RotationFunctionName"])


def test_it_makes_a_new_version_current(local: Local) -> None:
    before = current(local)
    rotate_now(local)
    assert current(local) != before


def test_a_wrong_key_fails_it_and_the_version_in_use_stays(local: Local) -> None:
    # Given a key of another app
    secrets, before = local.client("secretsmanager"), current(local)
    kept = secrets.get_secret_value(SecretId=KEY_ID)["SecretString"]
    secrets.put_secret_value(
        SecretId=KEY_ID, SecretString=json.dumps(json.loads(kept) | {"key": "0" * 64})
    )
    # When the UserSig is rotated, then TIMPush refuses the new one, and it is never used
    with pytest.raises(RuntimeError, match=r"testSecret failed: .*70009") as error:
        rotate_now(local)
    assert current(local) == before
    assert "eJ" not in str(error.value)
    # When the key is fixed, then the next rotation succeeds
    secrets.put_secret_value(SecretId=KEY_ID, SecretString=kept)
    rotate_now(local)
    assert current(local) != before
