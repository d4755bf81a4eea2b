"""The compiler agrees with KCL on schemas that nobody wrote.

VMOPS_ORACLE_SCHEMAS (their number) and VMOPS_ORACLE_SEED widen a run.
"""

from __future__ import annotations

import os
import pathlib
import random
import time

import pytest
from vm_lifecycle import schema as judge

from tests.oracle import kcl_judge, random_schemas
from tests.oracle.generators import Generator
from tools.kcl_compiler.documents import documents, stripped
from tools.kcl_compiler.errors import GenerationError
from tools.kcl_compiler.loader import load
from tools.kcl_compiler.package import organise

SCHEMAS = int(os.environ.get("VMOPS_ORACLE_SCHEMAS", "100"))
SEED = int(os.environ.get("VMOPS_ORACLE_SEED", "20260101"))
DOCUMENTS = 150


def differences(source: str, path: pathlib.Path, chance: random.Random) -> list[str]:
    """Raises GenerationError for a schema that is refused."""
    path.write_text(source)
    package = organise(load([str(path)], str(path.parent)))
    shape = stripped(documents(package))["Subject"]
    batch = Generator(chance, package, "Subject").documents(DOCUMENTS)
    said = kcl_judge.verdicts(source, "Subject", batch)
    return [
        f"{source}\n{document!r}: KCL says {reason!r}"
        for document, reason in zip(batch, said, strict=True)
        if (reason == "ok") != (not judge.judge(shape, document))
    ]


def test_random_schemas_agree_with_kcl(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    started, found, refused = time.perf_counter(), [], []
    compiled = 0
    for number in range(SCHEMAS):
        chance = random.Random(f"{SEED} {number}")
        source = random_schemas.source(chance)
        try:
            found += differences(source, tmp_path / "subject.k", chance)
            compiled += 1
        except GenerationError as error:
            refused.append(error.reason)
    with capsys.disabled():
        print(
            f"\noracle: {compiled} random schemas with {compiled * DOCUMENTS} documents, {len(found)} disagreements, "
            f"{len(refused)} refused; seed {SEED}, {time.perf_counter() - started:.1f} s"
        )
    assert not found, "\n\n".join(found[:5])
    assert compiled > SCHEMAS / 2, refused
