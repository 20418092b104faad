//! The steps of an invocation (section 5).

use super::Mutation;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        rule: "INV-FRESH",
        what: "any age",
        file: "core/src/smcp/envelope.rs",
        old: "if now.seconds().abs_diff(self.timestamp.seconds()) <= window_seconds.max(0).unsigned_abs() {",
        new: "let _ = now;
        if true {",
    },
    Mutation {
        rule: "INV-FRESH",
        what: "the 31st second",
        file: "core/src/smcp/envelope.rs",
        old: "<= window_seconds.max(0).unsigned_abs() {",
        new: "<= window_seconds.max(0).unsigned_abs().saturating_add(1) {",
    },
    Mutation {
        rule: "INV-FRESH",
        what: "the future",
        file: "core/src/smcp/envelope.rs",
        old: "now.seconds().abs_diff(self.timestamp.seconds()) <= window_seconds.max(0).unsigned_abs()",
        new: "now.seconds().saturating_sub(self.timestamp.seconds()) <= window_seconds.max(0)",
    },
    Mutation {
        rule: "INV-SESSION",
        what: "a revoked session",
        file: "core/src/smcp/receive/verify.rs",
        old: r#"SessionState::Revoked => return Err(Error::new(ErrorKind::SessionInactive, "the session was revoked")),"#,
        new: "SessionState::Revoked => {}",
    },
    Mutation {
        rule: "INV-SESSION",
        what: "an ended session",
        file: "core/src/smcp/receive/verify.rs",
        old: r#"SessionState::Ended => return Err(Error::new(ErrorKind::SessionInactive, "the session has ended")),"#,
        new: "SessionState::Ended => {}",
    },
    Mutation {
        rule: "INV-SESSION",
        what: "an expired session",
        file: "core/src/smcp/receive/verify.rs",
        old: "if session.expires_at.seconds().saturating_add(i64::from(leeway_seconds)) <= now.seconds() {",
        new: "let _ = (now, leeway_seconds);
    if false {",
    },
    Mutation {
        rule: "INV-SESSION",
        what: "a session of the other dialect",
        file: "core/src/smcp/receive/verify.rs",
        old: "if session.dialect != dialect || claims",
        new: "if claims",
    },
    Mutation {
        rule: "INV-SESSION",
        what: "a token of the other dialect",
        file: "core/src/smcp/receive/verify.rs",
        old: "dialect != dialect || claims.dialect.is_some_and(|attested| attested != dialect) {",
        new: "dialect != dialect {",
    },
    Mutation {
        rule: "INV-SESSION",
        what: "one of several sessions",
        file: "core/src/session/memory.rs",
        old: "(Some(_), Some(_)) => SessionAnswer::Ambiguous,",
        new: "(Some(first), Some(_)) => SessionAnswer::Found(Arc::clone(first)),",
    },
    Mutation {
        rule: "INV-SESSION",
        what: "a context that does not exist",
        file: "core/src/smcp/receive/verify.rs",
        old: r#"return Err(Error::new(ErrorKind::ScopeNotFound, "the security context of the session does not exist"));"#,
        new: "None",
    },
    Mutation {
        rule: "INV-REPLAY",
        what: "the same message again",
        file: "core/src/replay/window.rs",
        old: "if self.seconds.get(&entry.timestamp).is_some_and(|known| known.entries.contains_key(&digest)) {",
        new: "if false {",
    },
    Mutation {
        rule: "INV-REPLAY",
        what: "the store's answer is ignored",
        file: "core/src/smcp/receive/admit.rs",
        old: r#"ReplayAnswer::Seen => Error::new(ErrorKind::ReplayDetected, "this signed message was received before"),"#,
        new: "ReplayAnswer::Seen => return Ok(AdmittedEnvelope { verified }),",
    },
    Mutation {
        rule: "INV-REPLAY",
        what: "forgotten while fresh",
        file: "core/src/replay/window.rs",
        old: "            && oldest.get().expires_at < now
",
        new: "            && *oldest.key() < now
",
    },
    Mutation {
        rule: "INV-REPLAY-CLOCK",
        what: "a clock stepped back",
        file: "core/src/replay/window.rs",
        old: "if self.low_water.is_some_and(|mark| entry.timestamp <= mark) || !is_fresh(entry, second) {",
        new: "if !is_fresh(entry, second) {",
    },
    Mutation {
        rule: "INV-REPLAY-CLOCK",
        what: "before a restart",
        file: "core/src/replay/window.rs",
        old: "        if self.is_from_before(entry) {",
        new: "        if false {",
    },
    Mutation {
        rule: "INV-REPLAY-CLOCK",
        what: "the window after a restart",
        file: "core/src/replay/window.rs",
        old: "entry.timestamp <= created.seconds().saturating_add(self.window_seconds)",
        new: "entry.timestamp <= created.seconds()",
    },
    Mutation {
        rule: "INV-REPLAY-CLOCK",
        what: "the answer before a restart is ignored",
        file: "core/src/smcp/receive/admit.rs",
        old: r#"Error::new(ErrorKind::SessionNotFound, "the session was opened before the replay store was started")"#,
        new: "return Ok(AdmittedEnvelope { verified })",
    },
    Mutation {
        rule: "INV-REPLAY-FULL",
        what: "a full store",
        file: "core/src/replay/window.rs",
        old: "if self.entries >= self.capacity || self",
        new: "if self",
    },
    Mutation {
        rule: "INV-REPLAY-FULL",
        what: "more than its share",
        file: "core/src/replay/window.rs",
        old: "if self.entries >= self.capacity || self.shares.get(&session).copied().unwrap_or_default() >= self.per_session {",
        new: "if self.entries >= self.capacity {",
    },
    Mutation {
        rule: "INV-METHOD",
        what: "every method",
        file: "core/src/policy/method.rs",
        old: "_ => MethodClass::NotAllowed,",
        new: "_ => MethodClass::Gateway,",
    },
    Mutation {
        rule: "INV-METHOD",
        what: "the refusal of methods is ignored",
        file: "core/src/smcp/receive/authorize.rs",
        old: "            Err(admitted.refuse(error))
        }
        MethodClass::ToolCall",
        new: "            drop(error);
            Ok(AuthorizedCall { admitted, class, context, decision: None })
        }
        MethodClass::ToolCall",
    },
    Mutation {
        rule: "INV-METHOD",
        what: "resources need no capability",
        file: "core/src/policy/method.rs",
        old: r#""resources/read" => MethodClass::AsTool("resources/read"),"#,
        new: r#""resources/read" => MethodClass::Gateway,"#,
    },
];
