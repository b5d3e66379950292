"""Tasks of this project."""

from multiarch import ns  # noqa: F401 (Invoke looks for it)
