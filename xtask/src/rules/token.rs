//! Security token and attestation (sections 3 and 4).

use super::Mutation;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        rule: "TOKEN-PARTS",
        what: "more than three parts",
        file: "core/src/smcp/token/jws.rs",
        old: "if claims.contains('.') {",
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-PARTS",
        what: "padded base64url",
        file: "core/src/keys/base64.rs",
        old: "    URL_SAFE_NO_PAD.decode(text).ok()",
        new: "    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()",
    },
    Mutation {
        rule: "TOKEN-ALGORITHM",
        what: "another label of the key's algorithm",
        file: "core/src/smcp/token/verify.rs",
        old: "            if !fits(key) {",
        new: "            if false {",
    },
    Mutation {
        rule: "TOKEN-ALGORITHM",
        what: "any label without `kid`",
        file: "core/src/smcp/token/verify.rs",
        old: "keys.keys().iter().filter(|key| fits(key)).peekable();",
        new: "keys.keys().iter().peekable();",
    },
    Mutation {
        rule: "TOKEN-HEADER",
        what: "`crit`",
        file: "core/src/smcp/token/jws.rs",
        old: r#"["crit", "jwk","#,
        new: r#"["jwk","#,
    },
    Mutation {
        rule: "TOKEN-HEADER",
        what: "an embedded key",
        file: "core/src/smcp/token/jws.rs",
        old: r#"["crit", "jwk", "jku", "x5u", "x5c","#,
        new: r#"["crit","#,
    },
    Mutation {
        rule: "TOKEN-HEADER",
        what: "`b64`",
        file: "core/src/smcp/token/jws.rs",
        old: r#""b64", "zip""#,
        new: r#""zip""#,
    },
    Mutation {
        rule: "TOKEN-HEADER",
        what: "any `typ`",
        file: "core/src/smcp/token/jws.rs",
        old: r#"if header.get("typ").is_some_and(|kind| kind.as_str().as_deref() != Some("JWT")) {"#,
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-CLAIMS",
        what: "blank claims",
        file: "core/src/smcp/token/claims.rs",
        old: "if text.trim().is_empty() {",
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-CLAIMS",
        what: "a missing `wid`",
        file: "core/src/smcp/token/claims.rs",
        old: "None if lenient => agent_id.clone(),",
        new: "None => agent_id.clone(),",
    },
    Mutation {
        rule: "TOKEN-SCOPE",
        what: "`ctx` and `scp` disagree",
        file: "core/src/smcp/token/claims.rs",
        old: r#"if required_text(claims, "ctx")? != scope {"#,
        new: r#"if required_text(claims, "ctx")?.is_empty() {"#,
    },
    Mutation {
        rule: "TOKEN-TIMES",
        what: "expired",
        file: "core/src/smcp/token/claims.rs",
        old: "if self.expires_at.saturating_add(i64::from(leeway)) <= now {",
        new: "let _ = leeway;
        if false {",
    },
    Mutation {
        rule: "TOKEN-TIMES",
        what: "expired this second",
        file: "core/src/smcp/token/claims.rs",
        old: "saturating_add(i64::from(leeway)) <= now {",
        new: "saturating_add(i64::from(leeway)) < now {",
    },
    Mutation {
        rule: "TOKEN-TIMES",
        what: "more than a day",
        file: "core/src/smcp/token/claims.rs",
        old: "if self.expires_at.saturating_sub(self.issued_at) > MAXIMUM_LIFETIME_SECONDS {",
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-TIMES",
        what: "issued in the future",
        file: "core/src/smcp/token/claims.rs",
        old: "if self.issued_at > now.saturating_add(ISSUED_AHEAD_SECONDS) {",
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-TIMES",
        what: "not valid yet",
        file: "core/src/smcp/token/claims.rs",
        old: "if self.not_before.is_some_and(|not_before| not_before > now) {",
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-AUDIENCE",
        what: "another issuer",
        file: "core/src/smcp/token/verify.rs",
        old: "if self.rules.issuer.is_some() && claims.issuer != self.rules.issuer {",
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-AUDIENCE",
        what: "another audience",
        file: "core/src/smcp/token/verify.rs",
        old: "if self.rules.audience.as_ref().is_some_and(|audience| !claims.audience.contains(audience)) {",
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-KEY",
        what: "any token signature",
        file: "core/src/smcp/token/verify.rs",
        old: "            key.verify(message, &wire.signature)
        }",
        new: "            let _ = key.verify(message, &wire.signature);
            Ok(())
        }",
    },
    Mutation {
        rule: "TOKEN-KEY",
        what: "any token signature without `kid`",
        file: "core/src/smcp/token/verify.rs",
        old: "if candidates.any(|key| key.verify(message, &wire.signature).is_ok()) {",
        new: "if candidates.any(|_| true) {",
    },
    Mutation {
        rule: "TOKEN-CACHE",
        what: "cached tokens live on after `exp`",
        file: "core/src/smcp/token/verify.rs",
        old: "            verified.claims.check_times(now, self.rules.leeway_seconds)?;
            return",
        new: "            return",
    },
    Mutation {
        rule: "TOKEN-CACHE",
        what: "cached tokens outlive their key",
        file: "core/src/smcp/token/verify.rs",
        old: "        self.cache.clear();
",
        new: "",
    },
    Mutation {
        rule: "TOKEN-CACHE",
        what: "the cache grows",
        file: "core/src/smcp/token/cache.rs",
        old: "if generations.young.len() >= self.capacity {",
        new: "if false {",
    },
    Mutation {
        rule: "TOKEN-BINDING",
        what: "the token's key differs from the session's",
        file: "core/src/smcp/receive/verify.rs",
        old: r#"(Some(confirmed), Some(bound)) if confirmed != bound => {
            refuse("the token is bound to another key than its session")
        }
"#,
        new: "",
    },
    Mutation {
        rule: "TOKEN-BINDING",
        what: "a token of another agent",
        file: "core/src/smcp/receive/verify.rs",
        old: "if session.agent_id != claims.agent_id
        || session.workload_id",
        new: "if session.workload_id",
    },
    Mutation {
        rule: "ATT-PROOF",
        what: "a proof by another key",
        file: "core/src/smcp/attest/request.rs",
        old: r#"self.key.verify(&message, &proof.signature).map_err(|_| failed("the proof of possession does not verify"))"#,
        new: "self.key.verify(&message, &proof.signature).or(Ok(()))",
    },
    Mutation {
        rule: "ATT-PROOF",
        what: "an old proof",
        file: "core/src/smcp/attest/request.rs",
        old: "if now.seconds().abs_diff(proof.timestamp) > PROOF_WINDOW_SECONDS {",
        new: "if false {",
    },
    Mutation {
        rule: "ATT-PROOF",
        what: "a proof for another gateway",
        file: "core/src/smcp/attest/request.rs",
        old: "if public_url.is_some_and(|url| url.trim_end_matches('/') != proof.gateway.trim_end_matches('/')) {",
        new: "let _ = public_url;
        if false {",
    },
    Mutation {
        rule: "ATT-SHAPE",
        what: "blank names",
        file: "core/src/smcp/attest/request.rs",
        old: "text.trim().is_empty() || text.len() > MAXIMUM_NAME_BYTES || text.chars().any(char::is_control)",
        new: "text.len() > MAXIMUM_NAME_BYTES",
    },
    Mutation {
        rule: "ATT-GRANT",
        what: "every context",
        file: "core/src/smcp/attest/grants.rs",
        old: "contexts.iter().any(|granted| granted == context) && matches(pattern, workload_id)",
        new: "let _ = (contexts, context);
            matches(pattern, workload_id)",
    },
    Mutation {
        rule: "ATT-GRANT",
        what: "every workload",
        file: "core/src/smcp/attest/grants.rs",
        old: "contexts.iter().any(|granted| granted == context) && matches(pattern, workload_id)",
        new: "let _ = (pattern, workload_id);
            contexts.iter().any(|granted| granted == context)",
    },
];
