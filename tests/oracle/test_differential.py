"""What is shipped agrees with KCL: the modules' own judge, and the published JSON Schema, on the same documents.

VMOPS_ORACLE_DOCUMENTS (documents, all schemas together) and VMOPS_ORACLE_SEED (an integer) widen a run.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import time
from collections import Counter
from typing import Any

import jsonschema
import pytest
from vm_lifecycle import schema as judge
from vm_lifecycle._generated.schemas import SCHEMAS

from tests.oracle import kcl_judge
from tests.oracle.generators import Document, Generator, systematic
from tools.kcl_compiler.outputs import read_package

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "schemas" / "vm_lifecycle.k").read_text()
PACKAGE = read_package(str(ROOT))
SEED_SCHEMAS = [name for name, schema in PACKAGE.documents.items() if schema.location.file == "schemas/vm_lifecycle.k"]
DOCUMENTS = int(os.environ.get("VMOPS_ORACLE_DOCUMENTS", "105000"))
SEED = int(os.environ.get("VMOPS_ORACLE_SEED", "20260101"))
BATCH = 1000
PUBLISHED_SHARE = 5  # one document in so many is also judged by the published JSON file
VETTED = 40  # documents a schema for which the two ways to ask KCL are compared


def corpus(name: str) -> list[Document]:
    """Systematic documents, filled up with random ones."""
    generator = Generator(random.Random(f"{SEED} {name}"), PACKAGE, name)
    valid = next(document for document in iter(generator.document, None) if not judge.violations(name, document))
    together = [judge._attributes(entry) for entry in SCHEMAS[name].get("allOf", [])]
    found = list(systematic(generator, valid, [names for names in together if len(names) > 1]))
    return found + generator.documents(max(0, DOCUMENTS // len(SEED_SCHEMAS) - len(found)) + 1)


def published(name: str) -> Any:
    """A stock validator for the published file, but for KCL's integer, which JSON Schema cannot say."""
    document = json.loads((ROOT / "schemas" / "json" / f"{name}.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(document)

    def is_integer(checker: Any, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63

    types = jsonschema.Draft7Validator.TYPE_CHECKER.redefine("integer", is_integer)
    extend: Any = jsonschema.validators.extend
    return extend(jsonschema.Draft7Validator, type_checker=types)(document)


def agree(said: str, ours: list[judge.Violation], messages: list[str]) -> bool:
    """KCL stops at the first thing that is wrong, checks last; we report all, in the same order."""
    if said == "ok":
        return not ours
    return bool(ours) and (ours[0].rule == said if said in messages else ours[0].rule not in messages)


def disagreements(name: str, tally: Counter[str]) -> list[str]:
    """Every difference on the corpus of one schema, in words."""
    found: list[str] = []
    stock, messages = published(name), [check.message for check in PACKAGE.documents[name].checks]
    documents = corpus(name)
    for start in range(0, len(documents), BATCH):
        batch = documents[start : start + BATCH]
        for number, (document, said) in enumerate(zip(batch, kcl_judge.verdicts(SOURCE, name, batch), strict=True)):
            ours = judge.violations(name, document)
            tally["documents"] += 1
            tally["valid" if said == "ok" else "check" if said in messages else "type"] += 1
            if not agree(said, ours, messages):
                found.append(f"{name} {document!r}: KCL says {said!r}, we say {ours}")
            if number % PUBLISHED_SHARE == 0:
                tally["published"] += 1
                if stock.is_valid(document) != (said == "ok"):
                    found.append(f"{name} {document!r}: KCL says {said!r}, the published file differs")
    for document in documents[:: max(1, len(documents) // VETTED)]:
        tally["vetted"] += 1
        vetted, said = kcl_judge.vet(SOURCE, name, document), kcl_judge.verdicts(SOURCE, name, [document])[0]
        if (vetted == "ok") != (said == "ok") or (said in messages and vetted != said):
            found.append(f"{name} {document!r}: kcl vet says {vetted!r}, KCL's interpreter {said!r}")
    return found


def test_defaults_are_those_that_kcl_fills_in() -> None:
    for name in SEED_SCHEMAS:
        generator = Generator(random.Random(f"{SEED} {name}"), PACKAGE, name)
        valid = [document for document in generator.documents(600) if not judge.violations(name, document)]
        assert len(valid) > 50
        filled = [judge.with_defaults(name, document) for document in valid]
        own = [
            {key: value for key, value in each.items() if key in PACKAGE.documents[name].attributes} for each in filled
        ]
        assert own == kcl_judge.completed(SOURCE, name, valid)


def test_the_seven_schemas_agree_with_kcl(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(SEED_SCHEMAS) == 7
    started, tally = time.perf_counter(), Counter[str]()
    found = [difference for name in SEED_SCHEMAS for difference in disagreements(name, tally)]
    with capsys.disabled():
        print(
            f"\noracle: {tally['documents']} documents over {len(SEED_SCHEMAS)} schemas ({tally['valid']} valid, "
            f"{tally['type']} refused by type, {tally['check']} by a check), {len(found)} disagreements; "
            f"{tally['published']} also judged by the published files, {tally['vetted']} by kcl vet; "
            f"seed {SEED}, {time.perf_counter() - started:.1f} s"
        )
    assert not found, "\n".join(found[:10])
    assert tally["documents"] >= DOCUMENTS
    # A corpus of one kind would prove little.
    assert min(tally["valid"], tally["type"], tally["check"]) > tally["documents"] / 20, tally
