# Copyright: (c) 2026, vmops.lifecycle contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the store's database, by the version that brought them."""

from __future__ import annotations

from typing import Dict

#: What the first version of the database had.
FIRST_TABLES = """
CREATE TABLE vms (uuid TEXT PRIMARY KEY, revision INTEGER NOT NULL, record TEXT NOT NULL);
CREATE TABLE schedules (uuid TEXT PRIMARY KEY, schedule TEXT NOT NULL);
CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), memory TEXT NOT NULL);
CREATE TABLE operations (
    id INTEGER PRIMARY KEY, at_unix INTEGER NOT NULL, uuid TEXT NOT NULL, name TEXT NOT NULL,
    operation TEXT NOT NULL, outcome TEXT NOT NULL, message TEXT NOT NULL);
"""
#: What the second one added.
SECOND_TABLES = """
CREATE TABLE plans (plan_id TEXT PRIMARY KEY, created_unix INTEGER NOT NULL, plan TEXT NOT NULL);
CREATE TABLE notices (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, uuid TEXT NOT NULL, name TEXT NOT NULL,
    message TEXT NOT NULL, queued_unix INTEGER NOT NULL, delivered_unix INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '');
CREATE TABLE pools (name TEXT PRIMARY KEY, missed_since INTEGER NOT NULL);
"""
#: What the third one added.
THIRD_TABLES = """
CREATE TABLE states (uuid TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE starts (uuid TEXT PRIMARY KEY, start TEXT NOT NULL);
CREATE TABLE boot (id INTEGER PRIMARY KEY CHECK (id = 1), run TEXT NOT NULL);
"""
#: What the fourth one added.
FOURTH_TABLES = """
CREATE TABLE recoveries (uuid TEXT PRIMARY KEY, recovery TEXT NOT NULL);
"""
#: What the fifth one added.
FIFTH_TABLES = """
CREATE TABLE restarts (uuid TEXT PRIMARY KEY, restart TEXT NOT NULL);
"""
#: What the sixth one added.
SIXTH_TABLES = """
CREATE TABLE snapshots (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, taken_unix INTEGER NOT NULL, snapshot TEXT NOT NULL);
CREATE INDEX snapshots_of_vm ON snapshots (uuid, id);
CREATE TABLE counters (uuid TEXT PRIMARY KEY, counters TEXT NOT NULL);
CREATE TABLE sweeps (id INTEGER PRIMARY KEY CHECK (id = 1), sweep TEXT NOT NULL);
"""
#: What the seventh one added.
SEVENTH_TABLES = """
CREATE TABLE pressed (uuid TEXT PRIMARY KEY, pressed TEXT NOT NULL);
"""
#: Version of the database -> what it added. A new one has all of it; an older one gets what it lacks.
TABLES: Dict[int, str] = {
    1: FIRST_TABLES,
    2: SECOND_TABLES,
    3: THIRD_TABLES,
    4: FOURTH_TABLES,
    5: FIFTH_TABLES,
    6: SIXTH_TABLES,
    7: SEVENTH_TABLES,
}
