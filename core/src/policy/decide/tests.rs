//! Whole decisions.

use super::*;
use crate::error::Executed;
use crate::json::scan;
use crate::policy::{TraceRule, Verdict, explain, load_context};
use crate::settings::Syntax;

fn context(capabilities: &str, deny_list: &str) -> SecurityContext {
    let text = format!(r#"{{"name":"x","capabilities":{capabilities},"deny_list":{deny_list}}}"#);
    load_context(&text, Syntax::Json, "x").unwrap()
}

fn free(_: usize, _: RateLimit) -> Result<RateAnswer> {
    Ok(RateAnswer::Charged)
}

fn decide_on(context: &SecurityContext, tool: &str, arguments: &str) -> Decision {
    let document = scan(arguments.as_bytes()).unwrap();
    decide(context, &ToolCall { tool, arguments: Some(document.root()) }, None, &mut free).unwrap()
}

/// The kind a call is refused with, and what decided.
fn refusal(context: &SecurityContext, tool: &str, arguments: &str) -> (ErrorKind, DeniedBy) {
    let decision = decide_on(context, tool, arguments);
    match decision.verdict() {
        Verdict::Deny { by } => (decision.violation().unwrap().kind(), by),
        Verdict::Allow { capability } => panic!("{arguments} allowed by {capability}"),
    }
}

#[test]
fn reports_the_first_failing_constraint_of_the_first_match() {
    let context = context(
        r#"[{"tool_pattern":"other"},{"tool_pattern":"t","path_allowlist":["/a"],"command_allowlist":["git"],
        "subcommand_allowlist":["status"],"domain_allowlist":["e.test"]},{"tool_pattern":"t","path_allowlist":["/b"]}]"#,
        "[]",
    );
    let by = DeniedBy::Capability(1);
    for (arguments, kind) in [
        (r#"{"url":"https://f.test","cmd":"rm"}"#, ErrorKind::PolicyViolationPathNotAllowed),
        (r#"{"url":"https://f.test","cmd":"rm","path":"/a/../x"}"#, ErrorKind::PolicyViolationPathTraversal),
        (r#"{"url":"https://f.test","cmd":"rm","path":"/a"}"#, ErrorKind::PolicyViolationCommandNotAllowed),
        (r#"{"url":"https://f.test","path":"/a"}"#, ErrorKind::PolicyViolationCommandNotAllowed),
        (r#"{"url":"https://f.test","cmd":"git push","path":"/a"}"#, ErrorKind::PolicyViolationCommandNotAllowed),
        (r#"{"url":"https://f.test","cmd":"git status","path":"/a"}"#, ErrorKind::PolicyViolationDomainNotAllowed),
        (r#"{"url":"file:///a","cmd":"git status","path":"/a"}"#, ErrorKind::PolicyViolationDomainNotAllowed),
        (r#"{"uri":"file:///a","cmd":"git status"}"#, ErrorKind::PolicyViolationDomainNotAllowed),
    ] {
        assert_eq!(refusal(&context, "t", arguments), (kind, by), "{arguments}");
    }
    assert_eq!(refusal(&context, "none", "{}"), (ErrorKind::PolicyViolationToolNotAllowed, DeniedBy::Default));
    let allowed = decide_on(&context, "t", r#"{"path":"/b/x","cmd":"rm"}"#);
    assert_eq!(allowed.allowed().unwrap(), 2);
}

#[test]
fn a_command_is_reported_before_a_subcommand() {
    let context =
        context(r#"[{"tool_pattern":"t","command_allowlist":["git"],"subcommand_allowlist":["status"]}]"#, "[]");
    let decision = decide_on(&context, "t", r#"{"cmd":"git push","command":"rm x"}"#);
    let message = decision.violation().unwrap().message().to_owned();
    assert!(message.contains("`rm`") && message.contains("`git`"), "{message}");
    let decision = decide_on(&context, "t", r#"{"cmd":"git push"}"#);
    assert!(decision.violation().unwrap().message().contains("`push`"));
}

#[test]
fn a_path_allowlist_sees_paths_under_any_name() {
    let context = context(r#"[{"tool_pattern":"t","path_allowlist":["/w"]}]"#, "[]");
    for arguments in [
        r#"{"path":"/w/a","target":"/etc/x"}"#,
        r#"{"path":"/w/a","target":" /etc/x "}"#,
        r#"{"path":"/w/a","target":"%2fetc%2fx"}"#,
        r#"{"path":"/w/a","target":"file:///etc/x"}"#,
        r#"{"path":"/w/a","x":{"/etc/x":1}}"#,
        r#"{"path":"/w/a","x":["~root"]}"#,
        r#"{"path":"/w/a","PATH":"/etc/x"}"#,
        r#"{"path":"/w/a","fILE-nAME":"x"}"#,
        r#"{"target":"/w/a"}"#,
        r#"{"content":"/w/a"}"#,
        r#""/w/a""#,
        r#"["/w/a"]"#,
    ] {
        let (kind, _) = refusal(&context, "t", arguments);
        assert_eq!(kind, ErrorKind::PolicyViolationPathNotAllowed, "{arguments}");
    }
    for arguments in [
        r#"{"path":"/w/a","target":"/w/b"}"#,
        r#"{"path":"/w/a","content":"/etc/x","old_text":"../x","data":{"y":["~"]}}"#,
        r#"{"path":"/w/a","note":"see /etc/x","lines":"a\n/etc/x"}"#,
    ] {
        assert!(decide_on(&context, "t", arguments).allowed().is_ok(), "{arguments}");
    }
    let call = ToolCall { tool: "t", arguments: None };
    assert!(decide(&context, &call, None, &mut free).unwrap().allowed().is_err());
}

#[test]
fn a_denied_path_cannot_hide_under_another_name() {
    let context = context(r#"[{"tool_pattern":"t","path_allowlist":["/w"]}]"#, r#"["t:/w/secret"]"#);
    for arguments in [
        r#"{"path":"/w/a","target":"/w/SECRET/x"}"#,
        r#"{"path":"/w/a","x":{"/w/secret":1}}"#,
        r#"{"path":"/w/a","x":["file:///w/secret"]}"#,
        r#"{"path":"/w/a","x":"/w/%73ecret"}"#,
    ] {
        let expected = (ErrorKind::PolicyViolationToolDenied, DeniedBy::DenyEntry(0));
        assert_eq!(refusal(&context, "t", arguments), expected, "{arguments}");
    }
    // What no allowlist lets through is reported as that.
    let (kind, _) = refusal(&context, "t", r#"{"path":"/w/a","target":"/v"}"#);
    assert_eq!(kind, ErrorKind::PolicyViolationPathNotAllowed);
    assert!(decide_on(&context, "t", r#"{"path":"/w/a","content":"/w/secret"}"#).allowed().is_ok());
}

#[test]
fn empty_lists_let_nothing_pass() {
    for (list, arguments) in [
        ("path_allowlist", r#"{"path":"/"}"#),
        ("command_allowlist", r#"{"cmd":"ls"}"#),
        ("domain_allowlist", r#"{"url":"https://e.test"}"#),
    ] {
        let context = context(&format!(r#"[{{"tool_pattern":"t","{list}":[]}}]"#), "[]");
        let decision = decide_on(&context, "t", arguments);
        assert!(decision.violation().unwrap().message().contains("nothing is allowed"), "{list}");
    }
}

#[test]
fn require_domain_needs_no_list() {
    let context = context(r#"[{"tool_pattern":"t","require_domain":true}]"#, "[]");
    assert_eq!(refusal(&context, "t", r#"{"q":"x"}"#).0, ErrorKind::PolicyViolationDomainNotAllowed);
    assert!(decide_on(&context, "t", r#"{"q":"https://any.test"}"#).allowed().is_ok());
}

#[test]
fn no_odd_name_is_compared() {
    let context = context(r#"[{"tool_pattern":"*"}]"#, r#"["*"]"#);
    for tool in ["", "a b", "t\n", "\u{442}", &"t".repeat(129)] {
        let expected = (ErrorKind::PolicyViolationToolNotAllowed, DeniedBy::Default);
        assert_eq!(refusal(&context, tool, "{}"), expected, "{tool:?}");
        assert!(!lists_tool(&context, None, tool));
    }
}

#[test]
fn a_session_can_only_take_away() {
    let context = context(r#"[{"tool_pattern":"fs.*"}]"#, r#"["fs.delete"]"#);
    let narrowing = [ToolPattern::parse("fs.read").unwrap(), ToolPattern::parse("fs.delete").unwrap()];
    let on = |tool: &'static str, narrowing: &[ToolPattern]| {
        let call = ToolCall { tool, arguments: None };
        let decision = decide(&context, &call, Some(narrowing), &mut free).unwrap();
        decision.allowed().map_err(|error| error.kind())
    };
    assert_eq!(on("fs.read", &narrowing), Ok(0));
    assert_eq!(on("fs.write", &narrowing), Err(ErrorKind::PolicyViolationToolNotAllowed));
    assert_eq!(on("fs.delete", &narrowing), Err(ErrorKind::PolicyViolationToolDenied));
    assert_eq!(on("fs.read", &[]), Err(ErrorKind::PolicyViolationToolNotAllowed));
    let every = [ToolPattern::parse("*").unwrap()];
    assert_eq!(on("web.get", &every), Err(ErrorKind::PolicyViolationToolNotAllowed));
    assert!(lists_tool(&context, Some(&narrowing), "fs.read"));
    assert!(!lists_tool(&context, Some(&narrowing), "fs.write"));
    assert!(!lists_tool(&context, Some(&narrowing), "fs.delete"));
    assert!(!lists_tool(&context, Some(&every), "web.get"));
}

#[test]
fn rate_limits_are_the_last_constraint() {
    let context = context(
        r#"[{"tool_pattern":"t","path_allowlist":["/a"],"rate_limit":{"calls":1,"per_seconds":60}},
        {"tool_pattern":"t","rate_limit":{"calls":2,"per_seconds":5}},{"tool_pattern":"t","path_allowlist":["/b"]}]"#,
        "[]",
    );
    let run = |arguments: &str, answers: [RateAnswer; 2]| {
        let document = scan(arguments.as_bytes()).unwrap();
        let mut asked = Vec::new();
        let decision =
            decide(&context, &ToolCall { tool: "t", arguments: Some(document.root()) }, None, &mut |index, limit| {
                asked.push((index, limit.calls));
                Ok(answers[index])
            });
        (decision, asked)
    };
    let used_up = |retry_after| RateAnswer::Exceeded { retry_after };
    // Only the capability that allows is charged.
    let (decision, asked) = run(r#"{"path":"/a/x"}"#, [RateAnswer::Charged; 2]);
    assert_eq!((decision.unwrap().allowed().unwrap(), asked), (0, vec![(0, 1)]));
    let (decision, asked) = run(r#"{"path":"/x"}"#, [RateAnswer::Charged; 2]);
    assert_eq!((decision.unwrap().allowed().unwrap(), asked), (1, vec![(1, 2)]));
    // The search goes on behind a used-up capability.
    let (decision, asked) = run(r#"{"path":"/a/x"}"#, [used_up(9), RateAnswer::Charged]);
    assert_eq!((decision.unwrap().allowed().unwrap(), asked), (1, vec![(0, 1), (1, 2)]));
    let (decision, _) = run(r#"{"path":"/b"}"#, [used_up(9), used_up(9)]);
    assert_eq!(decision.unwrap().allowed().unwrap(), 2);
    // The rate is reported before the path of an earlier capability, with the soonest retry.
    let (decision, _) = run(r#"{"path":"/x"}"#, [used_up(9), used_up(7)]);
    let decision = decision.unwrap();
    let violation = decision.violation().unwrap();
    assert_eq!(violation.kind(), ErrorKind::PolicyViolationRateLimitExceeded);
    assert_eq!(violation.details().retry_after, Some(7));
    let (decision, _) = run(r#"{"path":"/a"}"#, [used_up(3), used_up(0)]);
    let decision = decision.unwrap();
    assert_eq!(decision.violation().unwrap().details().retry_after, Some(1));
    assert_eq!(decision.verdict(), Verdict::Deny { by: DeniedBy::Capability(1) });
    // A store without an answer lets nothing pass.
    let (decision, _) = run(r#"{"path":"/a"}"#, [RateAnswer::Full, RateAnswer::Charged]);
    assert_eq!(decision.unwrap_err().kind(), ErrorKind::Overloaded);
    let call = ToolCall { tool: "t", arguments: None };
    let broken = decide(&context, &call, None, &mut |_, _| Err(Error::new(ErrorKind::InternalError, "disk")));
    assert_eq!(broken.unwrap_err().kind(), ErrorKind::Overloaded);
}

#[test]
fn a_denied_call_is_not_charged() {
    let context = context(r#"[{"tool_pattern":"*","rate_limit":{"calls":1,"per_seconds":1}}]"#, r#"["t"]"#);
    let call = ToolCall { tool: "t", arguments: None };
    let decision = decide(&context, &call, None, &mut |_, _| panic!("charged")).unwrap();
    assert_eq!(decision.verdict(), Verdict::Deny { by: DeniedBy::DenyEntry(0) });
}

#[test]
fn the_size_limit_is_that_of_the_deciding_capability() {
    let context =
        context(r#"[{"tool_pattern":"t","path_allowlist":["/a"],"max_response_size":10},{"tool_pattern":"t"}]"#, "[]");
    let small = decide_on(&context, "t", r#"{"path":"/a"}"#);
    assert!(small.check_response_size(10).is_ok());
    let error = small.check_response_size(11).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PolicyViolationResponseTooLarge);
    assert_eq!(error.details().executed, Some(Executed::Yes));
    assert!(decide_on(&context, "t", "{}").check_response_size(u64::MAX).is_ok());
}

#[test]
fn the_trace_shows_every_rule() {
    let context = context(
        r#"[{"tool_pattern":"a*","path_allowlist":["/w"],"command_allowlist":["git"],"domain_allowlist":["e.test"],
        "rate_limit":{"calls":1,"per_seconds":2}},{"tool_pattern":"b"},{"tool_pattern":"*"}]"#,
        r#"["x","abc:/etc"]"#,
    );
    let document = scan(br#"{"path":"/v","cmd":"git","url":"https://f.test"}"#).unwrap();
    let call = ToolCall { tool: "abc", arguments: Some(document.root()) };
    let narrowing = [ToolPattern::parse("abc").unwrap()];
    let mut probe = |_: usize, _: RateLimit| Ok(RateAnswer::Exceeded { retry_after: 4 });
    let decision = explain(&context, &call, Some(&narrowing), Some(&mut probe)).unwrap();
    let steps: Vec<(TraceRule, bool)> = decision.trace().iter().map(|step| (step.rule, step.passed)).collect();
    assert_eq!(
        steps,
        [
            (TraceRule::ToolName, true),
            (TraceRule::DenyEntry(0), true),
            (TraceRule::DenyEntry(1), true),
            (TraceRule::Narrowing, true),
            (TraceRule::ToolPattern(0), true),
            (TraceRule::Path(0), false),
            (TraceRule::Command(0), true),
            (TraceRule::Domain(0), false),
            (TraceRule::Rate(0), false),
            (TraceRule::ToolPattern(1), false),
            (TraceRule::ToolPattern(2), true),
        ]
    );
    assert_eq!(decision.verdict(), Verdict::Allow { capability: 2 });
    assert!(decision.trace()[5].message.contains("`/v`") && decision.trace()[5].message.contains("`/w`"));
    assert_eq!(decision.context(), "x");
    assert_eq!(decision.digest(), context.digest);
}

#[test]
fn messages_are_bounded_and_visible() {
    let context = context(r#"[{"tool_pattern":"t","path_allowlist":["/w"]}]"#, r#"["d:/etc"]"#);
    let long = format!(r#"{{"path":"/etc/\n\u202e{}"}}"#, "x".repeat(100_000));
    for (tool, arguments) in [("t", long.as_str()), ("d", long.as_str()), (&"\u{1b}[31m".repeat(9999), "{}")] {
        let message = decide_on(&context, tool, arguments).violation().unwrap().message().to_owned();
        assert!(message.len() < 1500 && !message.contains(['\n', '\u{1b}', '\u{202e}']), "{message}");
    }
}
