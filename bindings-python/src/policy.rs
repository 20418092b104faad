//! Security contexts and decisions.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use smcp_core::json;
use smcp_core::policy::{
    self, DeniedBy, MethodClass, RateAnswer, RateKey, RateLimit, RateStore as _, SecurityContext, ToolCall, TraceRule,
    Verdict,
};
use smcp_core::settings::Syntax;
use smcp_core::smcp::Dialect;
use smcp_core::{Error, ErrorKind, Result};

use crate::detached::detached;
use crate::errors::{raise, raise_refusal};
use crate::moment::moment_or_now;
use crate::stores::{HostRateKey, HostRateLimit, NativeRateStore, invalid, parse_rate_answer, patterns};

/// A loaded security context.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeContext {
    pub(crate) context: Arc<SecurityContext>,
}

#[pymethods]
impl NativeContext {
    /// Loads a context; `syntax` is `yaml`, `json`, `toml`, or `seal` for the JSON of a `seal/v1` gateway.
    #[staticmethod]
    fn load(py: Python<'_>, text: &str, syntax: &str, origin: &str) -> PyResult<Self> {
        let loaded = detached(py, || match syntax {
            "seal" => policy::load_seal_context(text, origin),
            other => match Syntax::from_extension(other) {
                Some(syntax) => policy::load_context(text, syntax, origin),
                None => Err(Error::new(
                    ErrorKind::ConfigInvalid,
                    format!("{origin}: a context is written in YAML, JSON or TOML, not `{}`", other.escape_debug()),
                )),
            },
        });
        let context = loaded.flatten().map_err(|error| raise(py, &error, Dialect::Smcp))?;
        Ok(Self { context: Arc::new(context) })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.context.name
    }

    #[getter]
    fn description(&self) -> Option<&str> {
        self.context.description.as_deref()
    }

    /// SHA-256 of the normalised content, hexadecimal.
    #[getter]
    fn digest(&self) -> String {
        self.context.digest.to_string()
    }

    fn to_json(&self) -> String {
        self.context.to_json()
    }

    /// The tools of `tools` that `tools/list` shows.
    #[pyo3(signature = (tools, allowed_tools = None))]
    fn list_tools(
        &self,
        py: Python<'_>,
        tools: Vec<String>,
        allowed_tools: Option<Vec<String>>,
    ) -> PyResult<Vec<String>> {
        let listed = detached(py, || {
            let narrowing = allowed_tools.as_deref().map(patterns).transpose()?;
            let shown = |tool: &String| policy::lists_tool(&self.context, narrowing.as_deref(), tool);
            Ok(tools.into_iter().filter(shown).collect())
        });
        listed.flatten().map_err(|error| raise(py, &error, Dialect::Smcp))
    }
}

/// What a call is decided on.
struct Question<'q> {
    context: &'q SecurityContext,
    tool: &'q str,
    arguments: &'q [u8],
    narrowing: Option<&'q [String]>,
}

impl Question<'_> {
    fn ask<T>(
        &self,
        answer: impl FnOnce(&SecurityContext, &ToolCall<'_>, Option<&[policy::ToolPattern]>) -> Result<T>,
    ) -> Result<T> {
        let document = json::scan(self.arguments).map_err(|error| {
            Error::new(ErrorKind::InvalidArgument, format!("the arguments are not strict JSON: {error}"))
        })?;
        let narrowing = self.narrowing.map(patterns).transpose()?;
        let call = ToolCall { tool: self.tool, arguments: Some(document.root()) };
        answer(self.context, &call, narrowing.as_deref())
    }
}

/// Decides on a call and charges the rate store.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one for each argument of the facade")]
pub(crate) fn decide(
    py: Python<'_>,
    context: &NativeContext,
    tool: &str,
    arguments: PyBackedBytes,
    workload_id: &str,
    allowed_tools: Option<Vec<String>>,
    rates: &NativeRateStore,
    now: Option<f64>,
) -> PyResult<Decision> {
    let now = moment_or_now(py, now)?;
    let context = &context.context;
    let question = Question { context, tool, arguments: &arguments, narrowing: allowed_tools.as_deref() };
    let decision = detached(py, || {
        question.ask(|context, call, narrowing| {
            policy::decide(context, call, narrowing, &mut |capability, limit| {
                let key =
                    RateKey { workload_id: workload_id.to_owned(), context: context.name.to_string(), capability };
                rates.store.check_and_charge(&key, limit, now)
            })
        })
    });
    decision.flatten().map(Decision::from).map_err(|error| raise_refusal(py, &error, Dialect::Smcp))
}

/// The decision, or the next question to the rate store.
type Step = (Option<Decision>, Option<(HostRateKey, HostRateLimit)>);

/// One step of a decision whose rate store is the host program's: the decision, or the next question to that store.
/// `answers` are its answers so far, in the order of its questions.
#[pyfunction]
pub(crate) fn decide_step(
    py: Python<'_>,
    context: &NativeContext,
    tool: &str,
    arguments: PyBackedBytes,
    workload_id: &str,
    allowed_tools: Option<Vec<String>>,
    answers: Vec<(String, u64)>,
) -> PyResult<Step> {
    let parse = |(name, retry_after): &(String, u64)| {
        parse_rate_answer(name, *retry_after).ok_or_else(|| invalid(py, "unknown answer of a rate store"))
    };
    let answers = answers.iter().map(parse).collect::<PyResult<Vec<RateAnswer>>>()?;
    let context = &context.context;
    let question = Question { context, tool, arguments: &arguments, narrowing: allowed_tools.as_deref() };
    let step = detached(py, || {
        let mut asked = None;
        let mut given = answers.into_iter();
        let decided = question.ask(|context, call, narrowing| {
            policy::decide(context, call, narrowing, &mut |capability, limit| {
                given.next().ok_or_else(|| {
                    asked = Some((capability, limit));
                    Error::new(ErrorKind::Overloaded, "not answered yet")
                })
            })
        });
        match asked {
            Some((capability, limit)) => Ok((None, Some(rate_question(workload_id, context, capability, limit)))),
            None => decided.map(|decision| (Some(Decision::from(decision)), None)),
        }
    });
    step.flatten().map_err(|error| raise_refusal(py, &error, Dialect::Smcp))
}

fn rate_question(
    workload_id: &str,
    context: &SecurityContext,
    capability: usize,
    limit: RateLimit,
) -> (HostRateKey, HostRateLimit) {
    let key = RateKey { workload_id: workload_id.to_owned(), context: context.name.to_string(), capability };
    (HostRateKey { key }, limit.into())
}

/// Decides without charging and with the whole trace.
#[pyfunction]
pub(crate) fn explain(
    py: Python<'_>,
    context: &NativeContext,
    tool: &str,
    arguments: PyBackedBytes,
    allowed_tools: Option<Vec<String>>,
) -> PyResult<Decision> {
    let context = &context.context;
    let question = Question { context, tool, arguments: &arguments, narrowing: allowed_tools.as_deref() };
    let decision =
        detached(py, || question.ask(|context, call, narrowing| policy::explain(context, call, narrowing, None)));
    decision.flatten().map(Decision::from).map_err(|error| raise_refusal(py, &error, Dialect::Smcp))
}

/// How a JSON-RPC method is treated, and the tool it is evaluated as.
#[pyfunction]
pub(crate) fn method_class(method: &str) -> (&'static str, Option<&'static str>) {
    class_name(policy::policy_target(method))
}

pub(crate) fn class_name(class: MethodClass) -> (&'static str, Option<&'static str>) {
    match class {
        MethodClass::Gateway => ("gateway", None),
        MethodClass::ToolCall => ("tool_call", None),
        MethodClass::ToolList => ("tool_list", None),
        MethodClass::AsTool(tool) => ("as_tool", Some(tool)),
        MethodClass::NotAllowed => ("not_allowed", None),
    }
}

/// One rule that `explain` looked at.
#[pyclass(frozen, get_all, module = "smcp.policy")]
#[derive(Clone)]
pub(crate) struct TraceStep {
    /// `tool_name`, `deny_entry`, `narrowing`, `tool_pattern`, `path`, `command`, `domain` or `rate`.
    rule: &'static str,
    /// Index of the deny entry or capability, from 0.
    index: Option<usize>,
    /// Whether the rule lets the call pass.
    passed: bool,
    /// One line for a person.
    message: String,
}

#[pymethods]
impl TraceStep {
    fn __repr__(&self) -> String {
        let verdict = if self.passed { "passes" } else { "refuses" };
        let index = self.index.map_or_else(String::new, |index| format!("[{index}]"));
        format!("<{}{index} {verdict}: {}>", self.rule, self.message)
    }
}

/// Allow or deny, and what decided. It is data: it has no truth value, so that forgetting to look at it shows.
#[pyclass(frozen, module = "smcp.policy")]
#[derive(Clone)]
pub(crate) struct Decision {
    decision: policy::Decision,
}

impl From<policy::Decision> for Decision {
    fn from(decision: policy::Decision) -> Self {
        Self { decision }
    }
}

#[pymethods]
impl Decision {
    /// `allow` or `deny`.
    #[getter]
    fn verdict(&self) -> &'static str {
        match self.decision.verdict() {
            Verdict::Allow { .. } => "allow",
            Verdict::Deny { .. } => "deny",
        }
    }

    /// Index of the capability that allows the call, or whose constraint refuses it; None when another rule decided.
    #[getter]
    fn capability(&self) -> Option<usize> {
        match self.decision.verdict() {
            Verdict::Allow { capability } | Verdict::Deny { by: DeniedBy::Capability(capability) } => Some(capability),
            Verdict::Deny { by: DeniedBy::DenyEntry(_) | DeniedBy::Default } => None,
        }
    }

    /// Index of the deny entry that refuses the call.
    #[getter]
    fn deny_entry(&self) -> Option<usize> {
        match self.decision.verdict() {
            Verdict::Deny { by: DeniedBy::DenyEntry(index) } => Some(index),
            Verdict::Deny { by: DeniedBy::Capability(_) | DeniedBy::Default } | Verdict::Allow { .. } => None,
        }
    }

    /// Name of the violation, such as `POLICY_VIOLATION_PATH_NOT_ALLOWED`; None when the call is allowed.
    #[getter]
    fn code(&self) -> Option<&'static str> {
        self.decision.violation().map(|violation| violation.kind().name())
    }

    /// What was refused and what is allowed, one line; None when the call is allowed.
    #[getter]
    fn message(&self) -> Option<&str> {
        self.decision.violation().map(Error::message)
    }

    /// Whole seconds until the rate limit lets the call pass.
    #[getter]
    fn retry_after(&self) -> Option<u64> {
        self.decision.violation().and_then(|violation| violation.details().retry_after)
    }

    /// Name of the context that decided.
    #[getter]
    fn context(&self) -> &str {
        self.decision.context()
    }

    /// SHA-256 of the context's normalised content, hexadecimal.
    #[getter]
    fn digest(&self) -> String {
        self.decision.digest().to_string()
    }

    /// Largest answer the deciding capability lets through, in bytes of the compact JSON of the result.
    #[getter]
    fn max_response_size(&self) -> Option<u64> {
        self.decision.max_response_size().map(std::num::NonZeroU64::get)
    }

    /// Every rule that was looked at; only `explain` fills it.
    #[getter]
    fn trace(&self) -> Vec<TraceStep> {
        self.decision.trace().iter().map(trace_step).collect()
    }

    /// Raises the violation if the call is refused; otherwise the index of the capability that allows it.
    fn check(&self, py: Python<'_>) -> PyResult<usize> {
        self.decision.allowed().map_err(|error| raise_refusal(py, &error, Dialect::Smcp))
    }

    /// Raises `POLICY_VIOLATION_RESPONSE_TOO_LARGE` if the tool's answer is too large; `size` is the number of bytes of
    /// the compact JSON of the response's `result`.
    fn check_response_size(&self, py: Python<'_>, size: u64) -> PyResult<()> {
        self.decision.check_response_size(size).map_err(|error| raise_refusal(py, &error, Dialect::Smcp))
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err("a decision has no truth value; call check() or look at verdict"))
    }

    fn __repr__(&self) -> String {
        match self.decision.violation() {
            None => format!("<Decision allow, {:?}>", self.decision.context()),
            Some(violation) => format!("<Decision deny, {:?}: {violation}>", self.decision.context()),
        }
    }
}

fn trace_step(step: &policy::TraceStep) -> TraceStep {
    let (rule, index) = match step.rule {
        TraceRule::ToolName => ("tool_name", None),
        TraceRule::DenyEntry(index) => ("deny_entry", Some(index)),
        TraceRule::Narrowing => ("narrowing", None),
        TraceRule::ToolPattern(index) => ("tool_pattern", Some(index)),
        TraceRule::Path(index) => ("path", Some(index)),
        TraceRule::Command(index) => ("command", Some(index)),
        TraceRule::Domain(index) => ("domain", Some(index)),
        TraceRule::Rate(index) => ("rate", Some(index)),
    };
    TraceStep { rule, index, passed: step.passed, message: step.message.clone() }
}
