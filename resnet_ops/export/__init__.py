"""Deployable formats: written by `formats`, checked by `parity`, loaded by `exported`."""
