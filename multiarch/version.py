"""The version of this package, for whoever needs it without Invoke."""

__version__ = "0.1.0"
