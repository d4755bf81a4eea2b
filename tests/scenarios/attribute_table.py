"""Every attribute of the schemas, and what shows that it acts.

usage: python -m tests.scenarios.attribute_table

Prints a table, and ends with exit status 1 when an attribute is without a row, has one that shows nothing, or is open.
"""

from __future__ import annotations

import sys

from vm_lifecycle._generated.schemas import SCHEMAS

from .attributes import OPEN, ROWS, SEED, Label


def verdict(attribute: str) -> tuple[bool, str]:
    """Whether the attribute is settled, and why."""
    if attribute in OPEN:
        return False, f"OPEN: {OPEN[attribute]}"
    row = ROWS.get(attribute)
    if row is None:
        return False, "MISSING: nothing shows that it acts"
    if isinstance(row, Label):
        return True, f"label: {row.reason}"
    if not row.acts(attribute.split(".")[1]):
        return False, "NO DIFFERENCE: two hosts that differ in it end alike"
    return True, row.told()


def main() -> int:
    """Print the table."""
    failed = 0
    for attribute in attributes():
        settled, said = verdict(attribute)
        failed += not settled
        print(f"{attribute:44} {said}")
    print(f"{len(attributes())} attributes, {failed} without a proof")
    return 1 if failed else 0


def attributes() -> list[str]:
    """Schema.attribute for all that the seed has."""
    return [f"{schema}.{name}" for schema in SEED for name in SCHEMAS[schema]["properties"]]


if __name__ == "__main__":
    sys.exit(main())
