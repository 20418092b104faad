"""
Native parts of the package; private.
"""

from _typeshed import SupportsGetItem
from os import PathLike
from typing import Any, Final, SupportsFloat, SupportsIndex, final
from typing_extensions import disjoint_base

__all__ = ["HAS_GATEWAY", "VERSION", "Claims", "Decision", "Ed25519Key", "NativeAttestation", "NativeAttestor", "NativeCall", "NativeClient", "NativeContext", "NativeFacts", "NativeFileReplayStore", "NativeKeys", "NativeQuestion", "NativeRateStore", "NativeReceived", "NativeReception", "NativeReplayStore", "NativeSessionStore", "NativeTokenSigner", "NativeTokenVerifier", "NativeVerifier", "RateKey", "RateLimit", "ReplayEntry", "Session", "TraceStep", "after_fork", "attestation_refusal", "audit_event", "before_fork", "check_names", "decide", "decide_step", "explain", "method_class", "options_from_environment", "parse_attestation", "parse_timestamp", "run_command", "verify_envelope", "write_timestamp"]

HAS_GATEWAY: Final[bool]
"""
Whether the gateway and the `smcp` command are part of this build.
"""

VERSION: Final[str]
"""
The version of the package.
"""

@final
class Claims:
    """
    The claims of a verified token.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def agent_id(self, /) -> str:
        """
        `sub`: agent id.
        """
    @property
    def audience(self, /) -> list[str]:
        """
        `aud`.
        """
    @property
    def execution_id(self, /) -> str | None:
        """
        `exec_id`.
        """
    @property
    def expires_at(self, /) -> int:
        """
        `exp`, Unix seconds.
        """
    @property
    def issued_at(self, /) -> int:
        """
        `iat`, Unix seconds.
        """
    @property
    def issuer(self, /) -> str | None:
        """
        `iss`.
        """
    @property
    def key(self, /) -> bytes | None:
        """
        `cnf`: the 32 bytes of the agent key the token is bound to.
        """
    @property
    def not_before(self, /) -> int | None:
        """
        `nbf`, Unix seconds.
        """
    @property
    def protocol(self, /) -> str | None:
        """
        `protocol`: the dialect the session was attested under.
        """
    @property
    def scope(self, /) -> str:
        """
        `scp`: name of the security context.
        """
    @property
    def session_id(self, /) -> str | None:
        """
        `jti`: session id.
        """
    @property
    def tenant_id(self, /) -> str | None:
        """
        `tenant_id`.
        """
    @property
    def workload_id(self, /) -> str:
        """
        `wid`: workload id.
        """

@final
class Decision:
    """
    Allow or deny, and what decided. It is data: it has no truth value, so that forgetting to look at it shows.
    """
    def __bool__(self, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def capability(self, /) -> int | None:
        """
        Index of the capability that allows the call, or whose constraint refuses it; None when another rule decided.
        """
    def check(self, /) -> int:
        """
        Raises the violation if the call is refused; otherwise the index of the capability that allows it.
        """
    def check_response_size(self, /, size: SupportsIndex) -> None:
        """
        Raises `POLICY_VIOLATION_RESPONSE_TOO_LARGE` if the tool's answer is too large; `size` is the number of bytes of
        the compact JSON of the response's `result`.
        """
    @property
    def code(self, /) -> str | None:
        """
        Name of the violation, such as `POLICY_VIOLATION_PATH_NOT_ALLOWED`; None when the call is allowed.
        """
    @property
    def context(self, /) -> str:
        """
        Name of the context that decided.
        """
    @property
    def deny_entry(self, /) -> int | None:
        """
        Index of the deny entry that refuses the call.
        """
    @property
    def digest(self, /) -> str:
        """
        SHA-256 of the context's normalised content, hexadecimal.
        """
    @property
    def max_response_size(self, /) -> int | None:
        """
        Largest answer the deciding capability lets through, in bytes of the compact JSON of the result.
        """
    @property
    def message(self, /) -> str | None:
        """
        What was refused and what is allowed, one line; None when the call is allowed.
        """
    @property
    def retry_after(self, /) -> int | None:
        """
        Whole seconds until the rate limit lets the call pass.
        """
    @property
    def trace(self, /) -> list[TraceStep]:
        """
        Every rule that was looked at; only `explain` fills it.
        """
    @property
    def verdict(self, /) -> str:
        """
        `allow` or `deny`.
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
class NativeAttestation:
    """
    One attestation request on its way.
    """
    def answer_blocked(self, /, blocked: bool) -> None: ...
    def answer_live_key_owner(self, /, workload_id: str | None) -> None: ...
    def answer_opened(self, /) -> None: ...
    def conclude(self, /, registered_key: bytes | bytearray | None, execution_id: str | None, tenant_id: str | None) -> None:
        """
        Goes on with a workload that was verified.
        """
    def conclusion(self, /) -> tuple[int, bytes, int | None, Session | None, str | None, str | None]:
        """
        HTTP status, body, seconds for `Retry-After`, and the session that was opened.
        """
    @property
    def done(self, /) -> bool:
        """
        Whether there is an answer to the client.
        """
    @property
    def has_proof(self, /) -> bool:
        """
        Whether the client proved that it holds the private key.
        """
    @property
    def public_key(self, /) -> bytes | None: ...
    def question(self, /) -> tuple[str, Session | None] | None:
        """
        What the session store is to be asked: `blocked`, `live_key_owner`, or `open` with the session.
        """
    def refuse(self, /, code: str, message: str, retry_after: SupportsIndex | None) -> None:
        """
        Refuses with a kind of the error table.
        """
    @property
    def scope(self, /) -> str | None: ...
    @property
    def workload_id(self, /) -> str | None: ...

@final
class NativeAttestor:
    """
    Decides attestations, issues tokens, opens sessions.
    """
    def __new__(cls, /, *, signer: NativeTokenSigner, issuer: str, audience: str, lifetime_seconds: SupportsIndex, compat_ctx_claim: bool, require_proof: bool, public_url: str | None, failures_per_minute: SupportsIndex, successes_per_minute: SupportsIndex, contexts: SupportsGetItem[int, str], grants: SupportsGetItem[int, tuple[str, SupportsGetItem[int, str]]], sessions: NativeSessionStore | None) -> NativeAttestor: ...
    def begin(self, /, body: bytes | bytearray, protocol: str, source: str, now: SupportsFloat | SupportsIndex | None) -> NativeAttestation:
        """
        Shape, proof and the source's limit.
        """
    def replace_contexts(self, /, contexts: SupportsGetItem[int, str]) -> None:
        """
        The contexts that exist from now on.
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

@final
class NativeContext:
    """
    A loaded security context.
    """
    @property
    def description(self, /) -> str | None: ...
    @property
    def digest(self, /) -> str:
        """
        SHA-256 of the normalised content, hexadecimal.
        """
    def list_tools(self, /, tools: SupportsGetItem[int, str], allowed_tools: SupportsGetItem[int, str] | None = None) -> list[str]:
        """
        The tools of `tools` that `tools/list` shows.
        """
    @staticmethod
    def load(text: str, syntax: str, origin: str) -> NativeContext:
        """
        Loads a context; `syntax` is `yaml`, `json`, `toml`, or `seal` for the JSON of a `seal/v1` gateway.
        """
    @property
    def name(self, /) -> str: ...
    def to_json(self, /) -> str: ...

@final
class NativeFacts:
    """
    What an audit may say of a call. Before `authenticated` everything is only claimed.
    """
    @property
    def agent_id(self, /) -> str | None: ...
    @property
    def agent_key(self, /) -> str | None:
        """
        Standard base64.
        """
    @property
    def authenticated(self, /) -> bool: ...
    @property
    def context(self, /) -> str | None: ...
    @property
    def decision(self, /) -> Decision | None: ...
    @property
    def execution_id(self, /) -> str | None: ...
    @property
    def message_sha256(self, /) -> str | None:
        """
        Hexadecimal.
        """
    @property
    def method(self, /) -> str | None: ...
    @property
    def protocol(self, /) -> str | None: ...
    @property
    def request_id(self, /) -> str | None:
        """
        JSON text of the id.
        """
    @property
    def session_id(self, /) -> str | None: ...
    @property
    def signature(self, /) -> str | None:
        """
        Standard base64.
        """
    @property
    def tenant_id(self, /) -> str | None: ...
    @property
    def tool(self, /) -> str | None: ...
    @property
    def workload_id(self, /) -> str | None: ...

@final
class NativeFileReplayStore:
    """
    A bounded replay store in a file that the processes of one host share.
    """
    def __new__(cls, /, path: str | PathLike[str], capacity: SupportsIndex, per_session: SupportsIndex, now: SupportsFloat | SupportsIndex | None) -> NativeFileReplayStore: ...
    def check_and_insert(self, /, entry: ReplayEntry) -> str:
        """
        Says whether an entry is new and remembers it if so.
        """
    def close(self, /) -> None:
        """
        Gives up the file until the next use.
        """
    def close_inherited(self, /) -> None:
        """
        Closes, in the child of a fork, the handle that is the parent's; called while no thread may be in the module.
        """
    def len(self, /, now: SupportsFloat | SupportsIndex | None) -> int: ...

@final
class NativeKeys:
    """
    Public keys that verify tokens.
    """
    def __len__(self, /) -> int: ...
    def __new__(cls, /, keys: SupportsGetItem[int, tuple[str | None, bytes | bytearray]], jwks: SupportsGetItem[int, bytes | bytearray]) -> NativeKeys:
        """
        Ed25519 keys as id (or None for the thumbprint) and bytes, and the keys of JWKS texts.
        """
    def to_jwks(self, /) -> str:
        """
        The set as a JWKS text.
        """

@final
class NativeQuestion:
    """
    A question to a store of the host program; `kind` says which of the members are set.
    """
    @property
    def id(self, /) -> str | None:
        """
        Session id, or agent id for `agent`.
        """
    @property
    def kind(self, /) -> str:
        """
        `session`, `agent`, `revoked`, `replay` or `rate`.
        """
    @property
    def rate(self, /) -> tuple[RateKey, RateLimit] | None: ...
    @property
    def replay(self, /) -> ReplayEntry | None: ...
    @property
    def workload_id(self, /) -> str | None: ...

@final
class NativeRateStore:
    """
    A bounded rate store in the memory of this process.
    """
    def __len__(self, /) -> int: ...
    def __new__(cls, /, capacity: SupportsIndex, per_workload: SupportsIndex) -> NativeRateStore: ...
    def check_and_charge(self, /, key: RateKey, limit: RateLimit, now: SupportsFloat | SupportsIndex | None) -> tuple[str, int]:
        """
        Counts a call if it fits: the answer's name, and the seconds to wait.
        """

@final
class NativeReceived:
    """
    A call that passed every step.
    """
    @property
    def claims(self, /) -> Claims: ...
    @property
    def decision(self, /) -> Decision | None: ...
    @property
    def facts(self, /) -> NativeFacts: ...
    @property
    def id_text(self, /) -> str | None:
        """
        JSON text of the id.
        """
    def list_tools(self, /, tools: SupportsGetItem[int, str]) -> list[str]:
        """
        The tools of `tools` that `tools/list` shows to this agent.
        """
    @property
    def method(self, /) -> str: ...
    @property
    def method_class(self, /) -> str:
        """
        `gateway`, `tool_call`, `tool_list`, `as_tool` or `not_allowed`.
        """
    @property
    def payload(self, /) -> bytes: ...
    @property
    def sanitised_arguments(self, /) -> bytes | None:
        """
        JSON text of the arguments without secrets.
        """
    @property
    def tool(self, /) -> str: ...

@final
class NativeReception:
    """
    An envelope on its way through the pipeline. Python asks its stores what `question` wants to know, answers, and takes
    the result when there is no question left.
    """
    def answer_rate(self, /, answer: str, retry_after: SupportsIndex) -> None: ...
    def answer_replay(self, /, answer: str) -> None: ...
    def answer_revoked(self, /, revoked: bool) -> None: ...
    def answer_session(self, /, session: Session | None) -> None:
        """
        Answers `session` and `agent`.
        """
    def facts(self, /) -> NativeFacts | None:
        """
        What is known of the call for an audit, whatever became of it.
        """
    def fail(self, /, code: str, message: str, retry_after: SupportsIndex | None) -> None:
        """
        Refuses the call, since a store has no answer.
        """
    def question(self, /) -> NativeQuestion | None:
        """
        What a store is to be asked now; None when there is a result.
        """
    def result(self, /) -> NativeReceived:
        """
        Takes the result.
        """

@final
class NativeReplayStore:
    """
    A bounded replay store in the memory of this process.
    """
    def __len__(self, /) -> int: ...
    def __new__(cls, /, capacity: SupportsIndex, per_session: SupportsIndex, window_seconds: SupportsIndex, now: SupportsFloat | SupportsIndex | None) -> NativeReplayStore: ...
    def check_and_insert(self, /, entry: ReplayEntry) -> str:
        """
        Says whether an entry is new and remembers it if so.
        """

@final
class NativeSessionStore:
    """
    A bounded session store in the memory of this process.
    """
    def __new__(cls, /, capacity: SupportsIndex) -> NativeSessionStore: ...
    def allow(self, /, workload_id: str) -> bool: ...
    def blocked(self, /, workload_id: str, key: bytes | bytearray, now: SupportsFloat | SupportsIndex | None) -> bool: ...
    def blocks(self, /, now: SupportsFloat | SupportsIndex | None) -> list[tuple[str, float | None]]:
        """
        The workloads that are blocked, each with the end of its block.
        """
    def end(self, /, session_id: str, now: SupportsFloat | SupportsIndex | None) -> Session | None: ...
    def expire(self, /, now: SupportsFloat | SupportsIndex | None) -> list[Session]: ...
    def find(self, /, session_id: str, now: SupportsFloat | SupportsIndex | None) -> Session | None: ...
    def find_by_agent(self, /, agent_id: str, now: SupportsFloat | SupportsIndex | None) -> Session | None: ...
    def list(self, /, now: SupportsFloat | SupportsIndex | None) -> list[Session]: ...
    def live_key_owner(self, /, key: bytes | bytearray, now: SupportsFloat | SupportsIndex | None) -> str | None: ...
    def open(self, /, session: Session, now: SupportsFloat | SupportsIndex | None) -> None: ...
    def revoke(self, /, session_id: str, block: bool, block_seconds: SupportsIndex | None, now: SupportsFloat | SupportsIndex | None) -> Session | None:
        """
        Revokes a session; `block` also keeps workload and key from attesting, for `block_seconds` if given.
        """

@final
class NativeTokenSigner:
    """
    A key that signs tokens.
    """
    def __repr__(self, /) -> str: ...
    @staticmethod
    def from_pkcs8(der: bytes | bytearray) -> NativeTokenSigner:
        """
        The key of a PKCS#8 structure in DER.
        """
    @staticmethod
    def from_seed(seed: bytes | bytearray) -> NativeTokenSigner:
        """
        The key of a 32-byte seed.
        """
    @staticmethod
    def generate() -> NativeTokenSigner:
        """
        A new key from the operating system's generator.
        """
    def issue(self, /, issuer: str | None, audience: SupportsGetItem[int, str], agent_id: str | None, scope: str, workload_id: str, key: bytes | bytearray | None, session_id: str | None, protocol: str | None, lifetime_seconds: SupportsIndex, not_before: SupportsIndex | None, execution_id: str | None, tenant_id: str | None, with_ctx: bool, now: SupportsFloat | SupportsIndex | None) -> tuple[str, Claims]:
        """
        Writes and signs a token; an agent or session id that is not given is drawn at random.
        """
    @property
    def key_id(self, /) -> str:
        """
        The RFC 7638 thumbprint, the `kid` of tokens.
        """
    @property
    def public_key(self, /) -> bytes: ...

@final
class NativeTokenVerifier:
    """
    Verifies tokens.
    """
    def __new__(cls, /, keys: NativeKeys, issuer: str | None, audience: str | None, leeway_seconds: SupportsIndex, lenient_claims: bool) -> NativeTokenVerifier: ...
    def replace_keys(self, /, keys: NativeKeys) -> None: ...
    def to_jwks(self, /) -> str: ...
    def verify(self, /, token: str, now: SupportsFloat | SupportsIndex | None) -> Claims: ...

@final
class NativeVerifier:
    """
    The receive pipeline of one service.
    """
    def __new__(cls, /, *, keys: NativeKeys, contexts: SupportsGetItem[int, NativeContext] | None, sessions: NativeSessionStore | None, replay: NativeReplayStore | None, replay_file: NativeFileReplayStore | None, rates: NativeRateStore | None, issuer: str | None, audience: str | None, window_seconds: SupportsIndex, leeway_seconds: SupportsIndex, lenient_claims: bool, max_body_bytes: SupportsIndex, protocol: str | None, foreign_protocol: str | None, forwardable: bool, audited: bool) -> NativeVerifier: ...
    @property
    def asks_host(self, /) -> bool:
        """
        Whether `receive` is not enough, because stores of the host program are to be asked.
        """
    def begin(self, /, body: bytes | bytearray, now: SupportsFloat | SupportsIndex | None) -> NativeReception:
        """
        Begins, up to the first question.
        """
    def receive(self, /, body: bytes | bytearray, now: SupportsFloat | SupportsIndex | None) -> NativeReceived:
        """
        Runs every step at once.
        """
    def replace_contexts(self, /, contexts: SupportsGetItem[int, NativeContext]) -> None: ...
    def replace_keys(self, /, keys: NativeKeys) -> None: ...

@final
class RateKey:
    """
    What one rate counter counts: calls of a workload under a capability of a context.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __new__(cls, /, workload_id: str, context: str, capability: SupportsIndex) -> RateKey:
        """
        A key, for tests of a store.
        """
    def __repr__(self, /) -> str: ...
    @property
    def capability(self, /) -> int:
        """
        Index of the capability in the context, from 0.
        """
    @property
    def context(self, /) -> str:
        """
        Name of the context.
        """
    @property
    def workload_id(self, /) -> str:
        """
        The workload.
        """

@final
class RateLimit:
    """
    At most `calls` within any `per_seconds` seconds.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __new__(cls, /, calls: SupportsIndex, per_seconds: SupportsIndex) -> RateLimit:
        """
        A limit, for tests of a store.
        """
    def __repr__(self, /) -> str: ...
    @property
    def calls(self, /) -> int:
        """
        Calls.
        """
    @property
    def per_seconds(self, /) -> int:
        """
        Length of the window in seconds.
        """

@final
class ReplayEntry:
    """
    One verified message, as a replay store sees it.
    """
    def __new__(cls, /, key: bytes | bytearray, timestamp: SupportsIndex, expires_at: SupportsIndex, session: str, opened_at: SupportsFloat | SupportsIndex, received_at: SupportsFloat | SupportsIndex | None = None) -> ReplayEntry:
        """
        An entry, for tests of a store.
        """
    def __repr__(self, /) -> str: ...
    @property
    def expires_at(self, /) -> int:
        """
        The last second in which the envelope is fresh.
        """
    @property
    def key(self, /) -> bytes:
        """
        The SHA-256 of the canonical message that verified.
        """
    @property
    def opened_at(self, /) -> float:
        """
        When the session was opened, Unix seconds.
        """
    @property
    def received_at(self, /) -> float:
        """
        The verifier's clock at this call, Unix seconds.
        """
    @property
    def session(self, /) -> str:
        """
        The session whose share the entry takes.
        """
    @property
    def timestamp(self, /) -> int:
        """
        The envelope's timestamp in whole Unix seconds.
        """

@final
class Session:
    """
    What an attestation opened: an agent, its key and what it may do.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __new__(cls, /, id: str, agent_id: str, workload_id: str, context: str, key: bytes | bytearray, opened_at: SupportsFloat | SupportsIndex, expires_at: SupportsFloat | SupportsIndex, *, protocol: str = "smcp/v1", state: str = "live", execution_id: str | None = None, tenant_id: str | None = None, allowed_tools: SupportsGetItem[int, str] | None = None) -> Session:
        """
        A session as a store of the host program keeps it.
        """
    def __repr__(self, /) -> str: ...
    @property
    def agent_id(self, /) -> str:
        """
        Agent id, the token's `sub`.
        """
    @property
    def allowed_tools(self, /) -> list[str] | None:
        """
        Tool patterns to which the context is narrowed; None leaves it as it is.
        """
    @property
    def context(self, /) -> str:
        """
        Name of the security context.
        """
    @property
    def execution_id(self, /) -> str | None:
        """
        `exec_id` of the token.
        """
    @property
    def expires_at(self, /) -> float:
        """
        When it expires, Unix seconds.
        """
    @property
    def id(self, /) -> str:
        """
        Session id, the token's `jti`.
        """
    @property
    def key(self, /) -> bytes:
        """
        The 32 bytes of the agent's public key.
        """
    @property
    def opened_at(self, /) -> float:
        """
        When it was opened, Unix seconds.
        """
    @property
    def protocol(self, /) -> str:
        """
        `smcp/v1` or `seal/v1`, as attested.
        """
    @property
    def state(self, /) -> str:
        """
        `live`, `revoked` or `ended`.
        """
    @property
    def tenant_id(self, /) -> str | None:
        """
        `tenant_id` of the token.
        """
    @property
    def workload_id(self, /) -> str:
        """
        Workload id, the token's `wid`.
        """

@final
class TraceStep:
    """
    One rule that `explain` looked at.
    """
    def __repr__(self, /) -> str: ...
    @property
    def index(self, /) -> int | None:
        """
        Index of the deny entry or capability, from 0.
        """
    @property
    def message(self, /) -> str:
        """
        One line for a person.
        """
    @property
    def passed(self, /) -> bool:
        """
        Whether the rule lets the call pass.
        """
    @property
    def rule(self, /) -> str:
        """
        `tool_name`, `deny_entry`, `narrowing`, `tool_pattern`, `path`, `command`, `domain` or `rate`.
        """

def after_fork() -> None:
    """
    Lets threads in again, in parent and child.
    """

def attestation_refusal(code: str, message: str, protocol: str, now: SupportsFloat | SupportsIndex | None) -> tuple[int, bytes]:
    """
    HTTP status and body of a refused attestation.
    """

def audit_event(code: str) -> str:
    """
    The audit event of a call refused with this kind.
    """

def before_fork() -> None:
    """
    Waits until no thread is inside the native module and keeps it so.
    """

def check_names(value: Any) -> bool:
    """
    Whether every name in dictionaries at any depth is a string, which `json.dumps` does not ask.
    """

def decide(context: NativeContext, tool: str, arguments: bytes | bytearray, workload_id: str, allowed_tools: SupportsGetItem[int, str] | None, rates: NativeRateStore, now: SupportsFloat | SupportsIndex | None) -> Decision:
    """
    Decides on a call and charges the rate store.
    """

def decide_step(context: NativeContext, tool: str, arguments: bytes | bytearray, workload_id: str, allowed_tools: SupportsGetItem[int, str] | None, answers: SupportsGetItem[int, tuple[str, SupportsIndex]]) -> tuple[Decision | None, tuple[RateKey, RateLimit] | None]:
    """
    One step of a decision whose rate store is the host program's: the decision, or the next question to that store.
    `answers` are its answers so far, in the order of its questions.
    """

def explain(context: NativeContext, tool: str, arguments: bytes | bytearray, allowed_tools: SupportsGetItem[int, str] | None) -> Decision:
    """
    Decides without charging and with the whole trace.
    """

def method_class(method: str) -> tuple[str, str | None]:
    """
    How a JSON-RPC method is treated, and the tool it is evaluated as.
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

def run_command(arguments: SupportsGetItem[int, str]) -> int:
    """
    Runs the command line `arguments`, whose first is the program's name, and returns the exit status.

    It is the whole program: it starts threads and takes over SIGINT and SIGTERM, so nothing else may run in this process.
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
