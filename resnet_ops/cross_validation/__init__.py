"""Cross-validation over groups: a member is trained without each fold in turn, and asked about it (docs/adr/0049)."""
