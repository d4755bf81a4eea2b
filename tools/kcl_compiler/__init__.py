"""Compiles the KCL schemas into all that repeats their shape: JSON Schema, Python, argument specs, documentation."""

from __future__ import annotations
