"""smcp.crypto beyond what was published."""

from __future__ import annotations

import copy
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from smcp.crypto import Ed25519Key
from smcp.errors import SMCPError


def test_erasing_is_final_and_idempotent() -> None:
    key = Ed25519Key.generate()
    key.erase()
    key.erase()
    for action in (
        lambda: key.sign(b"m"),
        lambda: key.sign_base64(b"m"),
        key.get_public_key_bytes,
        key.get_public_key_base64,
    ):
        with pytest.raises(SMCPError, match="erased") as caught:
            action()
        assert caught.value.code == "KEY_ERASED"
    assert repr(key) == "<Ed25519Key erased>"


class Fake:
    def __init__(self, raw: object) -> None:
        self.raw = raw

    def private_bytes_raw(self) -> object:
        return self.raw


@pytest.mark.parametrize("wrong", [b"x" * 32, "key", 1, object(), Fake(b"short"), Fake(b"x" * 32), Fake("x" * 32)])
def test_only_pyca_keys_are_taken(wrong: object) -> None:
    with pytest.raises(TypeError):
        Ed25519Key(wrong)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError):
        Ed25519Key(X25519PrivateKey.generate())


def test_keys_are_not_copied_or_serialised() -> None:
    key = Ed25519Key.generate()
    for action in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            action(key)


def test_messages_are_bytes() -> None:
    key = Ed25519Key.generate()
    assert key.sign(bytearray(b"m")) == key.sign(b"m")
    for wrong in ("text", 5, None):
        with pytest.raises(TypeError):
            key.sign(wrong)  # type: ignore[arg-type]


def test_subclasses() -> None:
    class Mine(Ed25519Key):
        pass

    assert isinstance(Mine.generate(), Mine)
