# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt does by itself when a guest ends, as it was observed of the VMs of a call."""

from __future__ import annotations

from dataclasses import replace
from typing import Collection, Dict, Optional
from xml.etree import ElementTree

from .. import metadata
from ..errors import DomainGone, EffectError, refuse
from ..model import Observed
from ..policy.habits import BEFORE, Actions, actions
from ..ports import World
from .targets import Wish


def with_habits(observed: Observed, world: World, named: Optional[Collection[Wish]] = None) -> Observed:
    """Definitions are read of named VMs (None: all), and only where that matters: a supervisor is enabled, or was."""
    keys = None if named is None else {key for wish in named for key in (wish.name, wish.uuid)}
    supervisor, found = "supervisor" in observed.features, {}
    for domain in observed.domains:
        if not domain.persistent or (keys is not None and not {domain.name, domain.uuid} & keys):
            continue
        carried = metadata.read(domain, observed.records.get(domain.uuid))
        if keys is None and not carried.valid:
            continue
        if supervisor or (carried.document or {}).get(BEFORE):
            found[domain.uuid] = _actions(world, domain.uuid)
    known: Dict[str, Actions] = {uuid: each for uuid, each in found.items() if each is not None}
    return replace(observed, ends=known)


def habits_of(observed: Observed, uuid: str) -> Optional[Actions]:
    """What was observed of one VM; None when nothing had to be."""
    return observed.ends.get(uuid)


def _actions(world: World, uuid: str) -> Optional[Actions]:
    try:
        return actions(world.hypervisor.definition(uuid))
    except (DomainGone, ElementTree.ParseError):
        return None
    except EffectError as error:
        raise refuse(error.code, error.message) from error
