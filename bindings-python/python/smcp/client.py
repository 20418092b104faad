"""The client: attests a workload and calls tools through a gateway."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from . import _native
from ._host import decode, encode
from .crypto import Ed25519Key
from .errors import SMCPConnectionError, SMCPError, SMCPHTTPError, SMCPTimeoutError, SMCPToolError

__all__ = [
    "SMCPClient",
    "SMCPConnectionError",
    "SMCPError",
    "SMCPHTTPError",
    "SMCPTimeoutError",
    "SMCPToolError",
    "Signer",
]

_logger = logging.getLogger("smcp.client")


class Signer(Protocol):
    """A foreign signer, such as a key in a KMS. `sign_base64(bytes) -> str` in place of `sign` will do."""

    def get_public_key_bytes(self) -> bytes:
        """The 32 bytes of the public key."""
        ...

    def sign(self, message: bytes, /) -> bytes:
        """The 64 bytes of the Ed25519 signature over `message`."""
        ...


class ClientBase:
    """What the blocking and the async client share: options and session."""

    _protocol: ClassVar[str] = "smcp/v1"

    def __init__(
        self,
        gateway_url: str,
        workload_id: str,
        security_scope: str,
        *,
        timeout: float = 30.0,
        attest_timeout: float = 10.0,
        max_retries: int = 2,
        headers: Mapping[str, str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        client_cert: str
        | os.PathLike[str]
        | tuple[str | os.PathLike[str], str | os.PathLike[str] | None]
        | None = None,
        workload_credential: str | Callable[[], str] | os.PathLike[str] | None = None,
        key: Ed25519Key | Signer | None = None,
        proxy: str | None = None,
        reattest: bool = True,
        clock_correction: bool = False,
        max_response_bytes: int = 16 * 1024 * 1024,
        allow_insecure_http: bool = False,
        allow_tls12: bool = False,
    ) -> None:
        """Makes a client; nothing is read, opened or checked before the first use.

        timeout, attest_timeout: deadlines of a call and of an attestation in seconds.
        max_retries: tries beyond the first, only where no tool can have run.
        headers: sent with every request.
        ca_file: PEM file of the only certificate authorities to trust; default REQUESTS_CA_BUNDLE, SSL_CERT_FILE, or
            the platform's.
        client_cert: PEM file with certificate and key, or a pair of files.
        workload_credential: sent as Bearer at each attestation: a str, a callable that returns one, or a path; default
            the file named by SMCP_WORKLOAD_TOKEN_FILE. Files are read anew each time.
        key: a registered key or a foreign signer; default a fresh key for each attestation.
        proxy: URL for https; default HTTPS_PROXY and NO_PROXY.
        reattest: attest anew before the token expires, and once when the gateway has forgotten the session.
        clock_correction: sign with the gateway's clock as its answers show it.
        max_response_bytes: largest answer.
        allow_insecure_http, allow_tls12: for development, plain http beyond this machine and TLS below 1.3.
        """
        self._native: _native.NativeClient
        self._gateway_url = gateway_url.rstrip("/")
        self._workload_id = workload_id
        self._security_scope = security_scope
        self._configured_key: Any = key
        self._assigned_key: Any = None
        self._assigned_token: str | None = None
        certificate: Any = client_cert
        if certificate is not None and not isinstance(certificate, tuple):
            certificate = (certificate, None)
        self._native = _native.NativeClient(
            self._gateway_url,
            workload_id,
            security_scope,
            protocol=self._protocol,
            timeout=timeout,
            attest_timeout=attest_timeout,
            max_retries=max_retries,
            headers=list((headers or {}).items()),
            ca_file=ca_file,
            client_cert=certificate,
            allow_insecure_http=allow_insecure_http,
            allow_tls12=allow_tls12,
            proxy=proxy,
            max_response_bytes=max_response_bytes,
            clock_correction=clock_correction,
            reattest=reattest,
            workload_credential=workload_credential,
            key=key,
        )

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A client from SMCP_GATEWAY_URL, SMCP_WORKLOAD_ID and SMCP_SECURITY_SCOPE.

        SMCP_TIMEOUT, SMCP_MAX_RETRIES, SMCP_CA_FILE, SMCP_CLIENT_CERT, SMCP_CLIENT_KEY and SMCP_ALLOW_INSECURE_HTTP are
        read as well; `options` go before them.
        """
        return cls(**{**_native.options_from_environment(), **options})

    @property
    def gateway_url(self) -> str:
        """URL of the gateway without trailing slash."""
        return self._gateway_url

    @property
    def workload_id(self) -> str:
        """Who this workload says it is."""
        return self._workload_id

    @property
    def security_scope(self) -> str:
        """The SecurityContext it asks for."""
        return self._security_scope

    @property
    def key(self) -> Any:
        """The key of the session; None before `attest`. Assign key and token to use a session provisioned elsewhere."""
        if self._assigned_key is not None:
            return self._assigned_key
        own = self._native.key()
        return self._configured_key if own is None else own

    @key.setter
    def key(self, key: Any) -> None:
        self._assign(key, self.security_token)

    @property
    def security_token(self) -> str | None:
        """The token of the session; None before `attest`."""
        session = self._native.session()
        return self._assigned_token if session is None else session[0]

    @security_token.setter
    def security_token(self, security_token: str | None) -> None:
        self._assign(self.key, security_token)

    def _assign(self, key: Any, security_token: str | None) -> None:
        """Takes over a session in two assignments; it exists as soon as both parts do."""
        complete = key is not None and bool(security_token)
        self._native.provision(key if complete else None, security_token if complete else None)
        self._assigned_key, self._assigned_token = key, security_token

    @property
    def session_id(self) -> str | None:
        """The session's id, as far as the gateway said."""
        session = self._native.session()
        return session[2] if session is not None else None

    @property
    def clock_offset(self) -> float:
        """The gateway's clock minus this machine's in seconds, as far as answers showed it."""
        return self._native.clock_offset_millis() / 1000

    def _expires_at_text(self) -> str | None:
        session = self._native.session()
        return session[1] if session is not None else None

    def close(self) -> None:
        """Erases the key this client made, forgets the token and closes the connections.

        The client is unusable afterwards; closing twice is no error.
        """
        self._native.close()
        self._assigned_key = self._assigned_token = None

    def __del__(self) -> None:
        # An object whose __init__ failed has nothing to close.
        with contextlib.suppress(AttributeError):
            self._native.close()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._gateway_url} workload={self._workload_id!r} scope={self._security_scope!r}>"
        )

    def _encode_call(self, tool_name: str, arguments: Mapping[str, Any] | None) -> bytes:
        """The text of the arguments; what is no JSON is refused here, before anything is signed."""
        seal = self._protocol == "seal/v1"
        encode(tool_name, seal=seal)
        return encode({} if arguments is None else arguments, seal=seal)

    def _log_events(self) -> None:
        for level, message in self._native.drain_events():
            _logger.log(level, "%s", message)


def expiry(text: str | None) -> datetime | None:
    """The time of an `expires_at`."""
    return None if text is None else datetime.fromisoformat(text)


class BlockingBase(ClientBase):
    """A client whose calls block. It may be used from several threads, and by the children of a fork."""

    def call_tool(self, tool_name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Calls a tool and returns its `result` as it is, also one with `isError`.

        Raises SMCPError: without a session, when the gateway refuses, when the tool server answers with an error, when
        there is no answer. `details["executed"]` says whether the tool may have run.
        """
        encoded = self._encode_call(tool_name, arguments)
        try:
            result: dict[str, Any] = decode(self._native.call_tool(tool_name, encoded))
        finally:
            self._log_events()
        return result

    def list_tools(self) -> list[dict[str, Any]]:
        """The tools the context allows, all pages of them."""
        try:
            tools: list[dict[str, Any]] = decode(self._native.list_tools())
        finally:
            self._log_events()
        return tools

    def send(self, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        """Signs and sends a JSON-RPC message as it is.

        Returns the JSON-RPC response, which may be an error of the tool server; None for a notification.
        """
        encoded = encode(payload, seal=self._protocol == "seal/v1")
        try:
            text = self._native.send(encoded)
            response: dict[str, Any] | None = None if text is None else decode(text)
        finally:
            self._log_events()
        return response

    def _attest(self) -> tuple[str, str | None, str | None]:
        try:
            session: tuple[str, str | None, str | None] = self._native.attest()
        finally:
            self._log_events()
        self._assigned_key = self._assigned_token = None
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class SMCPClient(BlockingBase):
    """Attests a workload at a gateway and calls tools with signed envelopes."""

    def attest(self) -> str:
        """Attests with a fresh key and returns the security token. Calls at the same time share one attestation."""
        return self._attest()[0]

    @property
    def expires_at(self) -> datetime | None:
        """When the token expires, as far as the gateway said."""
        return expiry(self._expires_at_text())
