"""Providers to test against: real servers on loopback, written from the contracts."""
