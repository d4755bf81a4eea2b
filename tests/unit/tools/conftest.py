"""A KCL source, compiled where it can be."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest

from tools.kcl_compiler.loader import load
from tools.kcl_compiler.model import Package
from tools.kcl_compiler.package import organise

Compile = Callable[[str], Package]


@pytest.fixture
def compile_kcl(tmp_path: pathlib.Path) -> Compile:
    """Compiles the text of `subject.k`."""

    def compile_source(source: str) -> Package:
        path = tmp_path / "subject.k"
        path.write_text(source)
        return organise(load([str(path)], str(tmp_path)))

    return compile_source
