"""Options made of schemas, in hand-written templates."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

import pytest
import yaml

from tests.unit.tools.conftest import Compile
from tools.kcl_compiler.errors import GenerationError, Location
from tools.kcl_compiler.options import Expander, argument_spec

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODULES = ["vm_persistence", "vm_cleanup", "vm_lifecycle_info"]
TEMPLATE = Location("template.yml", 1)
SOURCE = '''schema Inner:
    """
    Inner.

    Attributes
    ----------
    x : int
        The `x`.
    """
    x: int

schema Base:
    """
    Base.

    Attributes
    ----------
    mode : "on" | "off"
        Either `on` or `off`. With `mode=on`, see `size`; never `ends` (but `ends_at`).
    size : int
        Size.
    names : [str]
        Names.
    level : 1 | 2
        Level.
    inner : Inner
        Inner.
    more : [Inner]
        More.
    anything : any
        Anything.
    flag : bool
        Flag.
    ends_at : int
        End.
    """
    mode: "on" | "off" = "on"
    size: int = 3
    names: [str] = []
    level?: 1 | 2
    inner?: Inner
    more?: [Inner]
    anything?: any
    flag: bool = False
    ends_at?: int

schema BaseRecorded:
    """
    Recorded.
    """
    ends_at?: int

schema BaseAdditional:
    """
    Added.

    Attributes
    ----------
    label : str
        Label.
    """
    label: str = ""
'''


def expand(compile_kcl: Compile, template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return Expander(compile_kcl(SOURCE), "suboptions").expand(template, TEMPLATE)


def test_options_of_a_schema(compile_kcl: Compile) -> None:
    options = expand(compile_kcl, {"x-options-of": "Base"})
    assert list(options) == ["mode", "size", "names", "level", "inner", "more", "anything", "flag", "label"]
    assert options["mode"] == {
        "description": [
            "Either V(on) or V(off). With O(mode=on), see O(size); never V(ends) (but C(ends_at)).",
            "Defaults to V(on).",
        ],
        "type": "str",
        "choices": ["on", "off"],
    }
    assert options["size"] == {"description": ["Size.", "Defaults to V(3)."], "type": "int"}
    assert options["names"]["description"] == ["Names.", "Defaults to an empty list."]
    assert (options["names"]["type"], options["names"]["elements"]) == ("list", "str")
    assert options["level"] == {"description": ["Level."], "type": "int", "choices": [1, 2]}
    assert options["inner"]["suboptions"]["x"] == {"description": ["The O(inner.x)."], "type": "int", "required": True}
    assert options["more"]["elements"] == "dict"
    assert options["more"]["suboptions"]["x"]["description"] == ["The O(more[].x)."]
    assert options["anything"]["type"] == "raw"
    assert options["flag"]["description"] == ["Flag.", "Defaults to V(false)."]
    assert options["label"]["description"] == ["Label.", "Defaults to an empty string."]
    assert not any("default" in option for option in options.values())


def test_a_template_keeps_its_order_and_its_own_options(compile_kcl: Compile) -> None:
    own = {"type": "str", "default": "a", "description": ["Own."]}
    below = {"type": "list", "elements": "dict", "description": ["Below."], "suboptions": {"x-options-of": "Inner"}}
    options = expand(compile_kcl, {"first": own, "x-options-of": "Inner", "last": below})
    assert list(options) == ["first", "x", "last"]
    assert options["first"] == own
    assert options["last"]["suboptions"]["x"]["description"] == ["The O(last[].x)."]
    assert argument_spec(options, "suboptions") == {
        "first": {"type": "str", "default": "a"},
        "x": {"type": "int", "required": True},
        "last": {"type": "list", "elements": "dict", "options": {"x": {"type": "int", "required": True}}},
    }


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({"x-options-of": "Missing"}, "there is no schema Missing"),
        ({"x": {"description": ["X."]}, "x-options-of": "Inner"}, "option x is there twice"),
        ({"y": {"type": "str"}}, "option y has no description"),
    ],
)
def test_refusal(compile_kcl: Compile, template: dict[str, Any], reason: str) -> None:
    with pytest.raises(GenerationError, match=rf"^template\.yml:1: {reason}"):
        expand(compile_kcl, template)


def load_module(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("module", MODULES)
def test_documentation_and_specification_say_the_same(module: str) -> None:
    fragment = load_module(f"plugins/doc_fragments/generated_{module}.py").ModuleDocFragment
    specs = load_module("plugins/module_utils/vm_lifecycle/_generated/argument_specs.py")
    options = yaml.safe_load(fragment.DOCUMENTATION)["options"]
    assert argument_spec(options, "suboptions") == getattr(specs, module.upper())
    assert options["uri"]["default"] == "qemu:///system"


def test_options_that_users_were_promised() -> None:
    specs = load_module("plugins/module_utils/vm_lifecycle/_generated/argument_specs.py")
    persistence, cleanup = specs.VM_PERSISTENCE, specs.VM_CLEANUP
    assert persistence["state"]["choices"] == ["present", "absent", "held", "released", "renewed"]
    assert persistence["restart_policy"]["choices"] == ["no", "always", "on-failure"]
    assert persistence["policy"]["options"] == persistence["vms"]["options"]["policy"]["options"]
    recorded = {"scheduled_cleanup", "last_state_change"}
    assert not recorded & (set(persistence) | set(persistence["vms"]["options"]))
    assert {"hold", "reason", "if_less_than_hours", "created_at_unix"} <= set(persistence["vms"]["options"])
    assert "require_synchronised_clock" in cleanup["policy"]["options"]
    with_default = [name for name, option in persistence.items() if "default" in option]
    assert with_default == ["state", "missing", "repair", "max_rows", "uri"]


def test_the_role_has_its_entry_points() -> None:
    role = yaml.safe_load((ROOT / "roles/vm_lifecycle/meta/argument_specs.yml").read_text())["argument_specs"]
    assert list(role) == ["main", "agent", "cleanup_timer", "boot_order", "supervisor", "snapshots", "vms", "uninstall"]
    items = role["vms"]["options"]["vm_lifecycle_vms"]["options"]
    assert items["policy"]["options"]["on_host_reboot"]["choices"] == ["start", "keep-stopped", "destroy"]
    assert role["main"]["options"]["vm_lifecycle_features"]["default"] == ["cleanup"]
    assert not [name for name in role["main"]["options"] if not name.startswith("vm_lifecycle_")]
