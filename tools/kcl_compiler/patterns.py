"""Regular expressions that mean the same to KCL (Rust), Python and JSON Schema (ECMA-262)."""

from __future__ import annotations

import re

# Plain characters, escaped punctuation, simple classes, groups, quantifiers. What is left out (`.`, \d, \b, flags,
# look-around, class operators) either differs in Unicode or line ends, or exists in one engine only.
_PORTABLE = re.compile(
    r"""\^?(?:
        [A-Za-z0-9_ :;,@/<>=!%&~"'\#-] | \\[\\.+*?()|\[\]{}^$/-]
      | \[\^?(?:[A-Za-z0-9_ :;,@/.+]|[A-Za-z0-9]-[A-Za-z0-9])+-?\]
      | \((?:\?:|(?!\?)) | \) | \| | [*+?] | \{\d+(?:,\d*)?\}
    )*\$?""",
    re.VERBOSE,
)


def portable(pattern: str) -> str | None:
    """The pattern for JSON Schema, or None if it could mean something else there."""
    if not _PORTABLE.fullmatch(pattern):
        return None
    try:
        re.compile(pattern)
    except re.error:
        return None
    # Python's `$` also matches before a final line feed, Rust's and ECMA's does not.
    return pattern[:-1] + r"$(?!\n)" if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern
