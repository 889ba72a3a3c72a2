"""What had been accepted and whom it came from, at a point of the ledger."""

from collections.abc import Iterable

from resnet_ops_registry.database.ledger import Entry

__all__ = ["Known"]


class Known:
    """Statements that were accepted (by their envelopes' sha256) and keys that were trusted, after some entries.

    By the order of entries, not by times: clocks are set back, much happens within a millisecond, and whoever
    forges an entry chooses its time.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.statements: set[str] = set()
        self.keys: set[str] = set()
        for entry in entries:
            self.learn(entry)

    def learn(self, entry: Entry) -> None:
        """Go on by one entry."""
        action, detail = entry.event.action, entry.event.detail
        if action == "key trusted":
            self.keys.add(str(detail.get("key")))
        elif action == "key revoked":
            self.keys.discard(str(detail.get("key")))
        elif action.endswith(" accepted"):
            self.statements.add(str(detail.get("statement")))
