//! The client: blocking calls that answer to Ctrl-C, and calls that deliver to an event loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use smcp_client::{
    Client, ClientCertificate, ClientError, ClientOptions, Credential, Environment, FileCredential, Level,
    SessionSigner, StaticCredential, runtime,
};
use smcp_core::smcp::send::SessionRecord;
use smcp_core::{Error, ErrorKind};
use tokio::task::AbortHandle;
use zeroize::Zeroizing;

use crate::envelope::dialect;
use crate::errors::{raise, raise_client};
use crate::keys::{Ed25519Key, HostSigner};

/// How often a blocking call looks whether a signal came.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// Token, expiry and session id.
type Session = (String, Option<String>, Option<String>);

/// What a finished operation gives to Python.
enum Outcome {
    Session(Arc<SessionRecord>),
    Text(Vec<u8>),
    Nothing,
}

impl Outcome {
    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Session(record) => Ok(session(&record).into_pyobject(py)?.into_any().unbind()),
            Self::Text(text) => Ok(PyBytes::new(py, &text).into_any().unbind()),
            Self::Nothing => Ok(py.None()),
        }
    }
}

fn session(record: &SessionRecord) -> Session {
    let expires_at = record.expires_at.map(|time| time.to_rfc3339());
    (record.token.as_str().to_owned(), expires_at, record.session_id.clone())
}

enum Operation {
    Attest,
    CallTool(String, Vec<u8>),
    ListTools,
    Send(Vec<u8>),
}

impl Operation {
    async fn run(self, client: Client) -> Result<Outcome, ClientError> {
        match self {
            Self::Attest => client.attest().await.map(Outcome::Session),
            Self::CallTool(name, arguments) => client.call_tool(&name, &arguments).await.map(Outcome::Text),
            Self::ListTools => client.list_tools().await.map(Outcome::Text),
            Self::Send(payload) => {
                let response = client.send(&payload).await?;
                Ok(response.map_or(Outcome::Nothing, Outcome::Text))
            }
        }
    }
}

/// A call under way for an event loop.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeCall {
    task: AbortHandle,
}

#[pymethods]
impl NativeCall {
    /// Aborts the request; nothing is delivered any more.
    fn cancel(&self) {
        self.task.abort();
    }
}

/// A client of one gateway.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeClient {
    client: Client,
}

impl NativeClient {
    fn local(&self, py: Python<'_>, error: &Error) -> PyErr {
        raise(py, error, self.client.options().dialect)
    }

    /// Runs an operation to its end; a signal aborts it.
    fn wait(&self, py: Python<'_>, operation: Operation) -> PyResult<Py<PyAny>> {
        let outcome = py.detach(|| -> Result<Result<Outcome, ClientError>, Interruption> {
            let handle = runtime::handle().map_err(Interruption::Failed)?;
            let (sender, receiver) = channel();
            let client = self.client.clone();
            let task = handle.spawn(async move {
                // A receiver that is gone was interrupted; it wants no answer.
                drop(sender.send(operation.run(client).await));
            });
            loop {
                match receiver.recv_timeout(SIGNAL_INTERVAL) {
                    Ok(outcome) => return Ok(outcome),
                    Err(RecvTimeoutError::Disconnected) => {
                        let error = Error::new(ErrorKind::InternalError, "the call panicked");
                        return Err(Interruption::Failed(error));
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        if let Some(Err(error)) = Python::try_attach(|py| py.check_signals()) {
                            task.abort();
                            return Err(Interruption::Signal(error));
                        }
                    }
                }
            }
        });
        match outcome {
            Ok(Ok(outcome)) => outcome.into_python(py),
            Ok(Err(error)) => Err(raise_client(py, &error)),
            Err(Interruption::Failed(error)) => Err(self.local(py, &error)),
            Err(Interruption::Signal(error)) => Err(error),
        }
    }

    /// Starts an operation; `deliver(result, exception)` is called from another thread when it is done.
    fn start(&self, py: Python<'_>, operation: Operation, deliver: Py<PyAny>) -> PyResult<NativeCall> {
        let handle = runtime::handle().map_err(|error| self.local(py, &error))?;
        let client = self.client.clone();
        let task = handle.spawn(async move {
            let outcome = operation.run(client).await;
            // Without an interpreter there is nobody left to tell.
            let _: Option<()> = Python::try_attach(|py| {
                let result = match outcome {
                    Ok(outcome) => outcome.into_python(py),
                    Err(error) => Err(raise_client(py, &error)),
                };
                let arguments = match result {
                    Ok(result) => (Some(result), None),
                    Err(error) => (None, Some(error.into_value(py))),
                };
                if let Err(error) = deliver.call1(py, arguments) {
                    error.write_unraisable(py, None);
                }
            });
        });
        Ok(NativeCall { task: task.abort_handle() })
    }
}

enum Interruption {
    Failed(Error),
    Signal(PyErr),
}

#[pymethods]
impl NativeClient {
    #[new]
    #[pyo3(signature = (gateway_url, workload_id, security_scope, *, protocol, timeout, attest_timeout, max_retries,
        headers, ca_file, client_cert, allow_insecure_http, allow_tls12, proxy, max_response_bytes, clock_correction,
        reattest, workload_credential, key))]
    #[expect(clippy::too_many_arguments, reason = "one keyword for each option, as Python passes them")]
    fn new(
        gateway_url: &str,
        workload_id: &str,
        security_scope: &str,
        protocol: &str,
        timeout: f64,
        attest_timeout: f64,
        max_retries: u32,
        headers: Vec<(String, String)>,
        ca_file: Option<PathBuf>,
        client_cert: Option<(PathBuf, Option<PathBuf>)>,
        allow_insecure_http: bool,
        allow_tls12: bool,
        proxy: Option<String>,
        max_response_bytes: usize,
        clock_correction: bool,
        reattest: bool,
        workload_credential: Option<&Bound<'_, PyAny>>,
        key: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut options = ClientOptions::new(gateway_url, workload_id, security_scope);
        options.dialect = dialect(protocol)?;
        options.timeout = seconds("timeout", timeout)?;
        options.attest_timeout = seconds("attest_timeout", attest_timeout)?;
        options.max_retries = max_retries;
        options.headers = headers;
        options.ca_file = ca_file;
        options.client_certificate = client_cert.map(|(certificate, key)| ClientCertificate { certificate, key });
        options.allow_insecure_http = allow_insecure_http;
        options.allow_tls12 = allow_tls12;
        options.proxy = proxy;
        options.max_response_bytes = max_response_bytes;
        options.clock_correction = clock_correction;
        options.reattest = reattest;
        options.workload_credential = workload_credential.map(credential).transpose()?;
        options.key = key.map(signer).transpose()?;
        Ok(Self { client: Client::new(options) })
    }

    /// Attests: token, expiry and session id.
    fn attest(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.wait(py, Operation::Attest)
    }

    /// Calls a tool: the JSON text of the result.
    fn call_tool(&self, py: Python<'_>, name: String, arguments: &[u8]) -> PyResult<Py<PyAny>> {
        self.wait(py, Operation::CallTool(name, arguments.to_vec()))
    }

    /// Lists the tools: the JSON text of an array.
    fn list_tools(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.wait(py, Operation::ListTools)
    }

    /// Sends a message: the JSON text of the response, or None.
    fn send(&self, py: Python<'_>, payload: &[u8]) -> PyResult<Py<PyAny>> {
        self.wait(py, Operation::Send(payload.to_vec()))
    }

    /// As `attest`, delivered.
    fn start_attest(&self, py: Python<'_>, deliver: Py<PyAny>) -> PyResult<NativeCall> {
        self.start(py, Operation::Attest, deliver)
    }

    /// As `call_tool`, delivered.
    fn start_call_tool(
        &self,
        py: Python<'_>,
        name: String,
        arguments: &[u8],
        deliver: Py<PyAny>,
    ) -> PyResult<NativeCall> {
        self.start(py, Operation::CallTool(name, arguments.to_vec()), deliver)
    }

    /// As `list_tools`, delivered.
    fn start_list_tools(&self, py: Python<'_>, deliver: Py<PyAny>) -> PyResult<NativeCall> {
        self.start(py, Operation::ListTools, deliver)
    }

    /// As `send`, delivered.
    fn start_send(&self, py: Python<'_>, payload: &[u8], deliver: Py<PyAny>) -> PyResult<NativeCall> {
        self.start(py, Operation::Send(payload.to_vec()), deliver)
    }

    /// Token, expiry and session id of the current session.
    fn session(&self) -> Option<(String, Option<String>, Option<String>)> {
        self.client.record().map(|record| session(&record))
    }

    /// The key of the current session, when the client made it.
    fn key(&self) -> Option<Ed25519Key> {
        self.client.key().map(|key| Ed25519Key { key })
    }

    /// Uses a session attested elsewhere, or with None none.
    #[pyo3(signature = (key, security_token))]
    fn provision(&self, key: Option<&Bound<'_, PyAny>>, security_token: Option<String>) -> PyResult<()> {
        let session = match (key, security_token) {
            (Some(key), Some(token)) => Some((signer(key)?, token)),
            (Some(_), None) | (None, Some(_)) | (None, None) => None,
        };
        self.client.provision(session);
        Ok(())
    }

    /// Events since the last call: level and line.
    fn drain_events(&self) -> Vec<(u8, String)> {
        let level = |level| match level {
            Level::Debug => 10,
            Level::Info => 20,
            Level::Warning => 30,
        };
        self.client.drain_events().into_iter().map(|event| (level(event.level), event.message)).collect()
    }

    /// The gateway's clock minus this machine's, in milliseconds.
    fn clock_offset_millis(&self) -> i64 {
        self.client.clock_offset_millis()
    }

    /// Erases the key the client made and closes the connections.
    fn close(&self) {
        self.client.close();
    }
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    let duration = Duration::try_from_secs_f64(value).ok().filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| PyValueError::new_err(format!("{name} must be a positive number of seconds")))
}

fn signer(object: &Bound<'_, PyAny>) -> PyResult<SessionSigner> {
    if let Ok(key) = object.cast::<Ed25519Key>() {
        return Ok(SessionSigner::memory(Arc::clone(&key.get().key)));
    }
    Ok(SessionSigner::foreign(Arc::new(HostSigner::new(object)?)))
}

fn credential(object: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Credential>> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Arc::new(StaticCredential::new(text.to_str()?.to_owned())));
    }
    if object.is_callable() {
        return Ok(Arc::new(HostCredential(object.clone().unbind())));
    }
    if object.hasattr("__fspath__")? {
        return Ok(Arc::new(FileCredential::new(object.extract()?)));
    }
    Err(PyTypeError::new_err("workload_credential must be a str, a callable that returns one, or a path"))
}

/// A callable of the host program.
struct HostCredential(Py<PyAny>);

impl Credential for HostCredential {
    fn fetch(&self) -> smcp_core::Result<Zeroizing<String>> {
        let failed = |reason: String| {
            Error::new(ErrorKind::ConfigInvalid, format!("the workload credential's callable failed: {reason}"))
        };
        let fetched = Python::try_attach(|py| {
            let value = self.0.call0(py).map_err(|error| error.to_string())?;
            let text = value.bind(py).cast::<PyString>().map_err(|_| "it returned no str".to_owned())?;
            text.to_str().map(|text| Zeroizing::new(text.to_owned())).map_err(|error| error.to_string())
        });
        fetched.unwrap_or_else(|| Err("the interpreter is shutting down".to_owned())).map_err(failed)
    }
}

/// Keyword arguments for a client from the `SMCP_…` variables of the environment.
#[pyfunction]
#[pyo3(signature = () -> "dict[str, object]")]
pub(crate) fn options_from_environment(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let options = ClientOptions::from_environment(Environment::process());
    let options = options.map_err(|error| raise(py, &error, smcp_core::smcp::Dialect::Smcp))?;
    let keywords = PyDict::new(py);
    keywords.set_item("gateway_url", options.gateway_url)?;
    keywords.set_item("workload_id", options.workload_id)?;
    keywords.set_item("security_scope", options.security_scope)?;
    keywords.set_item("timeout", options.timeout.as_secs_f64())?;
    keywords.set_item("max_retries", options.max_retries)?;
    keywords.set_item("ca_file", options.ca_file.map(PathBuf::into_os_string))?;
    keywords.set_item("allow_insecure_http", options.allow_insecure_http)?;
    if let Some(certificate) = options.client_certificate {
        let key = certificate.key.map(PathBuf::into_os_string);
        keywords.set_item("client_cert", (certificate.certificate.into_os_string(), key))?;
    }
    Ok(keywords)
}
