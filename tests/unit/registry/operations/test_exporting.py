"""The ledger for an auditor: names in it come from anybody."""

import json

from resnet_ops_registry.database.ledger import Entry, Event
from resnet_ops_registry.operations.exporting import as_csv, as_jsonl


def test_an_export_moves_no_terminal_and_keeps_what_was_said() -> None:
    name = "=x\x1b[2J\x9b2J\x7fü"
    entry = Entry(1, 0, Event("me", "alias", "allowed", model=name), "0" * 64, "1" * 64)
    lines, table = "".join(as_jsonl([entry])), "".join(as_csv([entry]))
    assert json.loads(lines)["event"]["model"] == name
    assert "ü" in lines
    assert "'=x" in table
    assert not [sign for sign in (lines + table) if not (sign.isprintable() or sign in "\r\n")]
