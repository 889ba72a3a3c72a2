"""DICOM files: pixels and what says how they are meant. Nothing else of a file leaves this room, not in a message."""
