"""Whether what is published can be signed: the program cosign, and its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError
from multiarch.publish.errors import CosignMissingError, CosignVersionError
from multiarch.steps.doctor.finding import Finding, failure, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.run import Run

NAME = "signing"


def examine(run: Run) -> Iterator[Finding]:
    """Find cosign and its version, and whether it can use the key; nothing where nothing is signed."""
    setting = run.settings.publish.sign
    if setting is None:
        return
    from multiarch.publish import signing

    try:
        # It asks no registry for this, and gets no login.
        with signing.opened(setting, run.registries, (), run.progress.trace) as (_, version):
            yield ok(NAME, f"cosign {version} signs {f'with {setting.key}' if setting.key else 'without a key'}")
    except (CosignMissingError, CosignVersionError, ConfigurationError) as error:
        yield failure(NAME, str(error))
