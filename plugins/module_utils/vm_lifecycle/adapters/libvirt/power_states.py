# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether some of a host's domains run, without a look at all the others."""

from __future__ import annotations

from typing import Any, Collection, Dict, List

from ...measuring import NOT_READ
from ...model import Domain
from .calls import power_state

try:
    import libvirt
except ImportError:
    libvirt = None


def power_states(connection: Any, handles: Dict[str, Any], uuids: Collection[str]) -> List[Domain]:
    """handles: those of these domains alone afterwards, since all that a large host has would take much memory. Raises libvirtError."""
    handles.clear()
    for uuid in uuids:
        try:
            handles[uuid] = connection.lookupByUUIDString(uuid)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    if not handles:
        return []
    transient = {each.UUIDString() for each in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)}
    told = connection.domainListGetStats(
        list(handles.values()), libvirt.VIR_DOMAIN_STATS_STATE
    )  # without those that went away
    found = []
    for handle, stats in told:
        uuid, state = handle.UUIDString(), power_state(stats["state.state"], stats["state.reason"])
        if state != "shutoff" or uuid not in transient:
            found.append(Domain(uuid, handle.name(), state, uuid not in transient, metadata_error=NOT_READ))
    return sorted(found, key=lambda domain: (domain.name, domain.uuid))
