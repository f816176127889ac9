"""The template as written and as translated, once a session; tests must not change them."""

import pytest

from template.translate import Template, load, translate


@pytest.fixture(scope="session")
def written() -> Template:
    """The SAM template."""
    return load()


@pytest.fixture(scope="session")
def translated(written: Template) -> Template:
    """What CloudFormation makes of it."""
    return translate(written)
