"""Version of this package, for code that must not import Invoke."""

__version__ = "0.2.0"
