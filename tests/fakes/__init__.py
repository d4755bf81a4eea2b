"""The three ports on a world that is one JSON document: virtual time, cuts between any two effects."""

from __future__ import annotations
