"""Ephemeral Ed25519 keys."""

from ._native import Ed25519Key

__all__ = ["Ed25519Key"]
