"""The error of the lab that users meet."""

from __future__ import annotations


class LabError(Exception):
    """Something the lab cannot do; the message says what to do about it."""
