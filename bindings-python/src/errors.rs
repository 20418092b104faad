//! Errors of the core and the client as the exceptions of `smcp.errors`.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};
use smcp_client::{ClientError, Stage};
use smcp_core::error::{Details, Executed};
use smcp_core::smcp::Dialect;
use smcp_core::{Error, ErrorKind};

/// `smcp.errors._make`.
static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn make<'py>(py: Python<'py>, category: &str, message: &str, fields: &Bound<'py, PyDict>) -> PyErr {
    let made = MAKE
        .import(py, "smcp.errors", "_make")
        .and_then(|make: &Bound<'py, PyAny>| make.call((category, message), Some(fields)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// The exception of an error of the core.
pub(crate) fn raise(py: Python<'_>, error: &Error, dialect: Dialect) -> PyErr {
    raise_client(py, &ClientError::at(Stage::Local, error.clone(), dialect))
}

/// The exception of an error of the core whose kind is another one for callers.
pub(crate) fn raise_as(py: Python<'_>, kind: ErrorKind, error: &Error, dialect: Dialect) -> PyErr {
    raise(py, &Error::new(kind, error.message().to_owned()), dialect)
}

/// The exception of an error of the client.
pub(crate) fn raise_client(py: Python<'_>, error: &ClientError) -> PyErr {
    match fields(py, error) {
        Ok(fields) => make(py, category(error), &error.to_string(), &fields),
        Err(error) => error,
    }
}

fn category(error: &ClientError) -> &'static str {
    if error.answer().is_some() {
        return "http";
    }
    match (error.stage(), error.kind()) {
        (Stage::Tool, _) => "tool",
        (_, ErrorKind::ConnectionFailed) => "connection",
        (_, ErrorKind::Timeout) => "timeout",
        (Stage::Local | Stage::Attest | Stage::Rejected | Stage::Gateway, _) => "plain",
    }
}

fn fields<'py>(py: Python<'py>, error: &ClientError) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("seal", error.dialect() == Dialect::Seal)?;
    fields.set_item("status_code", error.status_code())?;
    fields.set_item("http_status", error.http_status())?;
    fields.set_item("details", details(py, error.error().details())?)?;
    if let Some(tool) = error.tool_failure() {
        fields.set_item("tool_code", tool.code)?;
        fields.set_item("tool_data", tool.data.as_ref().map(|data| PyBytes::new(py, data)))?;
    } else {
        fields.set_item("code", error.kind().name())?;
        fields.set_item("number", error.status_code().unwrap_or_else(|| error.kind().number(error.dialect())))?;
    }
    if let Some(answer) = error.answer() {
        let response = (answer.status, answer.headers.clone(), PyBytes::new(py, &answer.body));
        fields.set_item("response", response)?;
    }
    Ok(fields)
}

fn details<'py>(py: Python<'py>, details: &Details) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    match details.executed {
        None => {}
        Some(Executed::No) => dict.set_item("executed", false)?,
        Some(Executed::Yes) => dict.set_item("executed", true)?,
        Some(Executed::Unknown) => dict.set_item("executed", "unknown")?,
    }
    if let Some(seconds) = details.retry_after {
        dict.set_item("retry_after", seconds)?;
    }
    if let Some(time) = details.server_time {
        dict.set_item("server_time", time.to_rfc3339())?;
    }
    Ok(dict)
}

/// The exception of a refusal that a service answers: its `http_status` is that of the answer.
pub(crate) fn raise_refusal(py: Python<'_>, error: &Error, dialect: Dialect) -> PyErr {
    let local = ClientError::at(Stage::Local, error.clone(), dialect);
    let made = fields(py, &local).and_then(|fields| {
        fields.set_item("http_status", error.http_status())?;
        Ok(make(py, "plain", &local.to_string(), &fields))
    });
    made.unwrap_or_else(|error| error)
}
