"""The one error of the lab that a person is meant to read."""

from __future__ import annotations


class LabError(Exception):
    """Something the lab cannot do; the message says what to do about it."""
