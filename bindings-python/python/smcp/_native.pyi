"""
Native parts of the package; private.
"""

from _typeshed import SupportsGetItem
from os import PathLike
from typing import Any, Final, SupportsFloat, SupportsIndex, final
from typing_extensions import disjoint_base

__all__ = ["VERSION", "Ed25519Key", "NativeCall", "NativeClient", "check_names", "options_from_environment", "parse_attestation", "parse_timestamp", "verify_envelope", "write_timestamp"]

VERSION: Final[str]
"""
The version of the package.
"""

@disjoint_base
class Ed25519Key:
    """
    An ephemeral Ed25519 key. It has no serialised form; erasing it overwrites it.
    """
    def __new__(cls, /, private_key: Any | None = None) -> Ed25519Key:
        """
        Generates a key, or takes over that of a pyca `Ed25519PrivateKey`.
        """
    def __repr__(self, /) -> str: ...
    def erase(self, /) -> None:
        """
        Overwrites the key; afterwards nothing can be signed. Erasing twice is no error.
        """
    @classmethod
    def generate(cls, /) -> "Ed25519Key":
        """
        Generates a key from the operating system's generator.
        """
    def get_public_key_base64(self, /) -> str:
        """
        The public key in standard base64.
        """
    def get_public_key_bytes(self, /) -> bytes:
        """
        The 32 bytes of the public key.
        """
    def sign(self, /, message: bytes | bytearray) -> bytes:
        """
        The 64 bytes of the signature over `message`.
        """
    def sign_base64(self, /, message: bytes | bytearray) -> str:
        """
        The signature over `message` in standard base64.
        """

@final
class NativeCall:
    """
    A call under way for an event loop.
    """
    def cancel(self, /) -> None:
        """
        Aborts the request; nothing is delivered any more.
        """

@final
class NativeClient:
    """
    A client of one gateway.
    """
    def __new__(cls, /, gateway_url: str, workload_id: str, security_scope: str, *, protocol: str, timeout: SupportsFloat | SupportsIndex, attest_timeout: SupportsFloat | SupportsIndex, max_retries: SupportsIndex, headers: SupportsGetItem[int, tuple[str, str]], ca_file: str | PathLike[str] | None, client_cert: tuple[str | PathLike[str], str | PathLike[str] | None] | None, allow_insecure_http: bool, allow_tls12: bool, proxy: str | None, max_response_bytes: SupportsIndex, clock_correction: bool, reattest: bool, workload_credential: Any | None, key: Any | None) -> NativeClient: ...
    def attest(self, /) -> Any:
        """
        Attests: token, expiry and session id.
        """
    def call_tool(self, /, name: str, arguments: bytes) -> Any:
        """
        Calls a tool: the JSON text of the result.
        """
    def clock_offset_millis(self, /) -> int:
        """
        The gateway's clock minus this machine's, in milliseconds.
        """
    def close(self, /) -> None:
        """
        Erases the key the client made and closes the connections.
        """
    def drain_events(self, /) -> list[tuple[int, str]]:
        """
        Events since the last call: level and line.
        """
    def key(self, /) -> Ed25519Key | None:
        """
        The key of the current session, when the client made it.
        """
    def list_tools(self, /) -> Any:
        """
        Lists the tools: the JSON text of an array.
        """
    def provision(self, /, key: Any | None, security_token: str | None) -> None:
        """
        Uses a session attested elsewhere, or with None none.
        """
    def send(self, /, payload: bytes) -> Any:
        """
        Sends a message: the JSON text of the response, or None.
        """
    def session(self, /) -> tuple[str, str | None, str | None] | None:
        """
        Token, expiry and session id of the current session.
        """
    def start_attest(self, /, deliver: Any) -> NativeCall:
        """
        As `attest`, delivered.
        """
    def start_call_tool(self, /, name: str, arguments: bytes, deliver: Any) -> NativeCall:
        """
        As `call_tool`, delivered.
        """
    def start_list_tools(self, /, deliver: Any) -> NativeCall:
        """
        As `list_tools`, delivered.
        """
    def start_send(self, /, payload: bytes, deliver: Any) -> NativeCall:
        """
        As `send`, delivered.
        """

def check_names(value: Any) -> bool:
    """
    Whether every name in dictionaries at any depth is a string, which `json.dumps` does not ask.
    """

def options_from_environment() -> "dict[str, object]":
    """
    Keyword arguments for a client from the `SMCP_…` variables of the environment.
    """

def parse_attestation(body: bytes | bytearray, protocol: str, gateway_url: str | None, now_millis: SupportsIndex | None, require_proof: bool) -> tuple[bytes, str, str]:
    """
    Reads an attestation request and verifies its proof: public key, workload id and scope.
    """

def parse_timestamp(text: str) -> int:
    """
    Unix seconds of RFC 3339 text with a zone; ValueError for anything else.
    """

def verify_envelope(wire: bytes | bytearray, public_key: bytes | bytearray, max_age_seconds: SupportsIndex, now_millis: SupportsIndex | None, protocol: str, host_text: bool) -> bytes:
    """
    Verifies an envelope and returns the canonical payload that was signed.

    With `host_text` the envelope's text was made from host values, whose numbers lost their spelling: Python's spelling
    is tried, then ECMAScript's.
    """

def write_timestamp(millis: SupportsIndex) -> tuple[str, int]:
    """
    The wire text of a time in Unix milliseconds, and its whole seconds.
    """
