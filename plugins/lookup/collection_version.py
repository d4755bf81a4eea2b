# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
name: collection_version
short_description: Version of a collection on the controller
version_added: "0.1.0"
author:
  - vmops.lifecycle contributors (@vmops)
description:
  - Tells whether a collection is there, before a task names one of its modules.
options:
  _terms:
    description: Full names of collections.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
---
- name: See that awx.awx is there
  ansible.builtin.assert:
    that: lookup('vmops.lifecycle.collection_version', 'awx.awx') is version('24.0.0', '>=')
"""

RETURN = r"""
---
_raw:
  description: The version of each; V(0.0.0) when it is not known, as in a checkout, and an empty string when there is none.
  type: list
  elements: str
"""

import importlib
import json
import os
from typing import Any, List

from ansible.plugins.lookup import LookupBase


def version(name: str) -> str:
    try:
        package = importlib.import_module(f"ansible_collections.{name}")
    except ImportError:
        return ""
    manifest = os.path.join(next(iter(package.__path__)), "MANIFEST.json")
    if not os.path.exists(manifest):
        return "0.0.0"
    with open(manifest, encoding="utf-8") as file:
        return str(json.load(file)["collection_info"]["version"])


class LookupModule(LookupBase):
    def run(self, terms: List[str], variables: Any = None, **kwargs: Any) -> List[str]:
        self.set_options(var_options=variables, direct=kwargs)
        return [version(term) for term in terms]
