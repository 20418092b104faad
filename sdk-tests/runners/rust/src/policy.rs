//! `policy.json`: calls against contexts, rates, answer sizes, methods and the loading of contexts.

use std::collections::BTreeMap;

use serde_json::Value;
use smcp_core::policy::{
    Decision, MethodClass, RateAnswer, RateLimit, SecurityContext, ToolCall, Verdict, decide, explain, lists_tool,
    load_context, policy_target,
};
use smcp_core::settings::Syntax;
use smcp_core::{Error, ErrorKind, Result, json};

use crate::VectorFile;

/// Times of counted calls, per session and capability.
type Counters = BTreeMap<(String, usize), Vec<f64>>;

/// The context a vector names.
fn context(file: &VectorFile, vector: &Value) -> SecurityContext {
    let id = vector["context"].as_str().unwrap();
    load_context(&file.document["contexts"][id].to_string(), Syntax::Json, id)
        .unwrap_or_else(|error| panic!("{id}: {error}"))
}

/// Decides, and holds `explain` to the same answer.
fn decide_one(
    context: &SecurityContext,
    tool: &str,
    arguments: &Value,
    charge: &mut dyn FnMut(usize, RateLimit) -> Result<RateAnswer>,
) -> Decision {
    let text = arguments.to_string();
    let document = json::scan(text.as_bytes()).unwrap();
    let call = ToolCall { tool, arguments: Some(document.root()) };
    let decision = decide(context, &call, None, charge).unwrap();
    let explained = explain(context, &call, None, None).unwrap();
    assert!(!explained.trace().is_empty());
    let by_rate = decision.violation().is_some_and(|e| e.kind() == ErrorKind::PolicyViolationRateLimitExceeded);
    if !by_rate && context.capabilities.iter().all(|capability| capability.rate_limit.is_none()) {
        assert_eq!(explained.verdict(), decision.verdict());
        assert_eq!(explained.violation(), decision.violation());
    }
    decision
}

fn free(_: usize, _: RateLimit) -> Result<RateAnswer> {
    Ok(RateAnswer::Charged)
}

/// What is wrong with an answer, if anything.
fn judge(vector: &Value, answer: std::result::Result<Option<usize>, Error>) -> std::result::Result<(), String> {
    let expect = vector["expect"].as_str().unwrap();
    match (expect, answer) {
        ("allow", Ok(capability)) => match vector.get("capability").and_then(Value::as_u64) {
            Some(index) if capability.map(|index| index as u64) != Some(index) => {
                Err(format!("allowed by capability {capability:?}, not {index}"))
            }
            _ => Ok(()),
        },
        ("deny", Err(error)) => {
            let codes = vector["code"].as_array().unwrap();
            if codes.iter().any(|code| code == error.kind().name()) {
                Ok(())
            } else {
                Err(format!("refused as {error}"))
            }
        }
        ("allow", Err(error)) => Err(format!("refused as {error}")),
        ("deny", Ok(capability)) => Err(format!("allowed by capability {capability:?}")),
        (other, _) => Err(format!("unknown expectation {other}")),
    }
}

fn run_call(file: &VectorFile, vector: &Value) -> std::result::Result<(), String> {
    let decision =
        decide_one(&context(file, vector), vector["tool"].as_str().unwrap(), &vector["arguments"], &mut free);
    judge(vector, decision.allowed().map(Some))
}

fn run_response_size(file: &VectorFile, vector: &Value) -> std::result::Result<(), String> {
    let decision =
        decide_one(&context(file, vector), vector["tool"].as_str().unwrap(), &vector["arguments"], &mut free);
    let bytes = vector["response_bytes"].as_u64().unwrap();
    judge(vector, decision.allowed().and_then(|index| decision.check_response_size(bytes).map(|()| Some(index))))
}

fn run_rate(file: &VectorFile, vector: &Value) -> std::result::Result<(), String> {
    let context = &context(file, vector);
    let mut counters = Counters::new();
    let calls = vector["calls"].as_array().unwrap();
    let mut last = None;
    for (index, now) in calls.iter().enumerate() {
        let now = now.as_f64().unwrap();
        let each = |list: &str, single: &str| {
            vector.get(list).map_or_else(|| vector.get(single).cloned(), |list| Some(list[index].clone()))
        };
        let tool = each("tools_each", "tool").unwrap();
        let arguments = each("arguments_each", "arguments").unwrap();
        let session = each("sessions_each", "").map_or_else(String::new, |session| session.to_string());
        let mut charge = |capability: usize, limit: RateLimit| {
            let counted = counters.entry((session.clone(), capability)).or_default();
            counted.retain(|then| now - then < f64::from(limit.per_seconds));
            if counted.len() < limit.calls as usize {
                counted.push(now);
                return Ok(RateAnswer::Charged);
            }
            Ok(RateAnswer::Exceeded { retry_after: 1 })
        };
        let decision = decide_one(context, tool.as_str().unwrap(), &arguments, &mut charge);
        let allowed = matches!(decision.verdict(), Verdict::Allow { .. });
        if allowed != (vector["expect_each"][index] == "allow") {
            return Err(format!("call {index} at {now}: {:?}", decision.verdict()));
        }
        let expected = vector.get("capability_each").map(|list| list[index].as_u64());
        if expected.is_some_and(|expected| expected != decision.allowed().ok().map(|index| index as u64)) {
            return Err(format!("call {index} at {now}: {:?}", decision.verdict()));
        }
        last = Some(decision);
    }
    judge(vector, last.unwrap().allowed().map(Some))
}

fn run_method(file: &VectorFile, vector: &Value) -> std::result::Result<(), String> {
    let context = &context(file, vector);
    match policy_target(vector["method"].as_str().unwrap()) {
        MethodClass::Gateway => judge(vector, Ok(None)),
        MethodClass::ToolCall => run_call(file, vector),
        MethodClass::ToolList => {
            let available = vector["available"].as_array().unwrap();
            let listed: Vec<Value> =
                available.iter().filter(|tool| lists_tool(context, None, tool.as_str().unwrap())).cloned().collect();
            if Value::Array(listed.clone()) != vector["listed"] {
                return Err(format!("listed {listed:?}"));
            }
            judge(vector, Ok(None))
        }
        MethodClass::AsTool(tool) => {
            judge(vector, decide_one(context, tool, &vector["arguments"], &mut free).allowed().map(Some))
        }
        MethodClass::NotAllowed => {
            judge(vector, Err(Error::new(ErrorKind::MethodNotAllowed, "the gateway does not serve this method")))
        }
    }
}

fn run_load(file: &VectorFile, vector: &Value) -> std::result::Result<(), String> {
    let syntax = match vector.get("syntax").map(|syntax| syntax.as_str().unwrap()) {
        None | Some("json") => Syntax::Json,
        Some("yaml") => Syntax::Yaml,
        Some("toml") => Syntax::Toml,
        Some(other) => return Err(format!("unknown syntax {other}")),
    };
    let text = match vector.get("text") {
        Some(text) => text.as_str().unwrap().to_owned(),
        None => file.document["contexts"][vector["context"].as_str().unwrap()].to_string(),
    };
    let must_fail = vector["load_error"].as_bool().unwrap();
    match load_context(&text, syntax, "context") {
        Ok(_) if must_fail => Err("loads".to_owned()),
        Ok(_) => Ok(()),
        Err(error) if !must_fail => Err(format!("refused as {error}")),
        Err(error) => {
            let mentions = vector.get("error_mentions").map_or("", |mention| mention.as_str().unwrap());
            let line = vector.get("error_line").map_or_else(String::new, |line| format!("context:{line}:"));
            let holds = error.kind() == ErrorKind::ConfigInvalid
                && error.message().contains(mentions)
                && error.message().contains(&line);
            if holds { Ok(()) } else { Err(format!("refused as {error}")) }
        }
    }
}

/// One vector of any class; an unknown class is a failure.
pub fn check_policy(file: &VectorFile, vector: &Value) -> std::result::Result<(), String> {
    match vector["class"].as_str().unwrap() {
        "pattern" | "deny" | "path" | "path-encoding" | "windows" | "file-uri" | "missing-argument" | "nesting"
        | "argument-map" | "command" | "shell" | "argv" | "subcommand" | "domain" | "idn" | "ip" | "url-parse"
        | "or-semantics" | "unicode" | "types" => run_call(file, vector),
        "rate" => run_rate(file, vector),
        "response-size" => run_response_size(file, vector),
        "methods" => run_method(file, vector),
        "load" => run_load(file, vector),
        other => Err(format!("unknown class {other}")),
    }
}
