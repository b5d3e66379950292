"""Command by which a CI's jobs install the version that writes their file."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

from multiarch import version
from multiarch.errors import ConfigurationError

_DISTRIBUTION = "invoke-multiarch"
_EXAMPLES = "install: pip install git+https://HOST/REPOSITORY@COMMIT, or pip install . in its own repository"


def pinned_install() -> str:
    """Return the command that installs the running version from a package index.

    :raises ConfigurationError: no index is known to have that version.
    """
    if origin := _origin():
        problem = f"no package index is known to have this {_DISTRIBUTION} {version.__version__} ({origin})"
        remedy = f"write there how a CI's jobs install it, such as {_EXAMPLES}"
        raise ConfigurationError("multiarch.install", f"not set, and {problem}; {remedy}")
    return f"pip install {_DISTRIBUTION}=={version.__version__}"


def _origin() -> str:
    """Return where the running version comes from; empty where it comes from a package index."""
    try:
        distribution = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "run from a checkout"
    # Installers write it for what did not come from an index: a directory, an archive, a git URL (PEP 610).
    if direct := distribution.read_text("direct_url.json"):
        return f"installed from {json.loads(direct)['url']}"
    installed = Path(str(distribution.locate_file("multiarch/version.py")))
    if installed.resolve() != Path(version.__file__).resolve():
        return "run from a checkout"
    if "dev" in version.__version__ or "+" in version.__version__:
        return "a development version"
    return ""
