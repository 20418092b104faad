//! Envelope and canonical message (sections 1 and 2).

use super::Mutation;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        rule: "ENV-UTF8",
        what: "a byte order mark",
        file: "core/src/json/scan.rs",
        old: r#"if self.source.starts_with(&[0xEF, 0xBB, 0xBF]) {
            return self.fail("byte order mark");
        }"#,
        new: "if self.source.starts_with(&[0xEF, 0xBB, 0xBF]) {
            self.advance(3);
        }",
    },
    Mutation {
        rule: "ENV-UTF8",
        what: "invalid UTF-8",
        file: "core/src/json/scan.rs",
        old: "if let Err(error) = simdutf8::compat::from_utf8(source) {",
        new: "if let Err(error) = simdutf8::compat::from_utf8(&[]) {",
    },
    Mutation {
        rule: "ENV-GRAMMAR",
        what: "leading zeros",
        file: "core/src/json/scan.rs",
        old: r#"if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                    return self.fail("number with a leading zero");
                }"#,
        new: "self.digits();",
    },
    Mutation {
        rule: "ENV-GRAMMAR",
        what: "control characters in strings",
        file: "core/src/json/scan.rs",
        old: r#"rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') else"#,
        new: r#"rest.iter().position(|byte| *byte == b'"' || *byte == b'\\') else"#,
    },
    Mutation {
        rule: "ENV-GRAMMAR",
        what: "a fraction without digits",
        file: "core/src/json/scan.rs",
        old: "            self.advance(1);
            self.required_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {",
        new: "            self.advance(1);
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {",
    },
    Mutation {
        rule: "ENV-DUPLICATE",
        what: "the same name twice",
        file: "core/src/json/scan.rs",
        old: "[(left, _), (right, offset)] if left.cmp(right) == Ordering::Equal => Some(*offset),",
        new: "[(left, _), (right, offset)] if left.cmp(right) == Ordering::Less && left == right => Some(*offset),",
    },
    Mutation {
        rule: "ENV-DUPLICATE",
        what: "the same name twice in a row",
        file: "core/src/json/scan.rs",
        old: "frame.unsorted |= previous.as_bytes() >= name.as_bytes();",
        new: "frame.unsorted |= previous.as_bytes() > name.as_bytes();",
    },
    Mutation {
        rule: "ENV-DUPLICATE",
        what: "names compared before unescaping",
        file: "core/src/json/scan.rs",
        old: "names.push((key.as_str().unwrap_or_default(), key.offset()));",
        new: "names.push((Cow::Borrowed(key.raw()), key.offset()));",
    },
    Mutation {
        rule: "ENV-SURROGATE",
        what: "a lone low surrogate",
        file: "core/src/json/scan.rs",
        old: r#"0xDC00..=0xDFFF => self.fail("lone surrogate"),"#,
        new: "0xDC00..=0xDFFF => {
                        self.advance(4);
                        Ok(false)
                    }",
    },
    Mutation {
        rule: "ENV-SURROGATE",
        what: "a high surrogate before anything",
        file: "core/src/json/scan.rs",
        old: "if !low.is_some_and(|unit| (0xDC00..=0xDFFF).contains(&unit)) {",
        new: "if low.is_none() {",
    },
    Mutation {
        rule: "ENV-TRAILING",
        what: "bytes after the value",
        file: "core/src/json/scan.rs",
        old: "if self.position != self.source.len() {
            return",
        new: "if false {
            return",
    },
    Mutation {
        rule: "ENV-DEPTH",
        what: "any depth",
        file: "core/src/json/scan.rs",
        old: "if frames.len() >= self.limits.depth {",
        new: "if frames.len() >= usize::MAX {",
    },
    Mutation {
        rule: "ENV-DEPTH",
        what: "a level too many",
        file: "core/src/json/scan.rs",
        old: "if frames.len() >= self.limits.depth {",
        new: "if frames.len() > self.limits.depth {",
    },
    Mutation {
        rule: "ENV-SIZE",
        what: "any size",
        file: "core/src/json/scan.rs",
        old: "if source.len() > limits.bytes || u32",
        new: "if u32",
    },
    Mutation {
        rule: "ENV-SIZE",
        what: "too large is not told apart",
        file: "core/src/smcp/envelope.rs",
        old: "if error.is_too_large() { refusal.with_too_large() } else { refusal }",
        new: "refusal",
    },
    Mutation {
        rule: "ENV-PROTOCOL",
        what: "any protocol string",
        file: "core/src/smcp/envelope.rs",
        old: r#"(None, None) => Err(refuse("member `protocol` names an unknown protocol".to_owned())),"#,
        new: "(None, None) => Ok(Dialect::Smcp),",
    },
    Mutation {
        rule: "ENV-PROTOCOL",
        what: "the other dialect's string",
        file: "core/src/smcp/envelope.rs",
        old: "(Some(dialect), Some(only)) if dialect == only => Ok(dialect),",
        new: "(Some(dialect), Some(_)) => Ok(dialect),",
    },
    Mutation {
        rule: "ENV-PROTOCOL",
        what: "no protocol is malformed only",
        file: "core/src/smcp/envelope.rs",
        old: r#"let Some(protocol) = root.get("protocol").and_then(Value::as_str) else {
        return Err(refuse("member `protocol` is missing or no string".to_owned()));
    };"#,
        new: r#"let Some(protocol) = root.get("protocol").and_then(Value::as_str) else {
        return Err(malformed("member `protocol` is missing or no string"));
    };"#,
    },
    Mutation {
        rule: "ENV-SHAPE",
        what: "an empty payload",
        file: "core/src/smcp/envelope.rs",
        old: "payload.kind() != Kind::Object || payload.is_empty_container()",
        new: "payload.kind() != Kind::Object",
    },
    Mutation {
        rule: "ENV-SHAPE",
        what: "a payload that is no object",
        file: "core/src/smcp/envelope.rs",
        old: "payload.kind() != Kind::Object || payload.is_empty_container()",
        new: "payload.is_empty_container()",
    },
    Mutation {
        rule: "ENV-SHAPE",
        what: "an empty token",
        file: "core/src/smcp/envelope.rs",
        old: "if token.is_empty() {",
        new: "if false {",
    },
    Mutation {
        rule: "ENV-SHAPE",
        what: "a document that is no object",
        file: "core/src/smcp/envelope.rs",
        old: r#"return Err(malformed("the envelope is no JSON object"));"#,
        new: r#"return Err(Error::new(ErrorKind::InvalidSignature, ""));"#,
    },
    Mutation {
        rule: "ENV-BASE64",
        what: "white space in the signature",
        file: "core/src/smcp/envelope.rs",
        old: "    if text.len() != 88 {",
        new: r#"    let text = &text.replace([' ', '\n'], "");
    if text.len() != 88 {"#,
    },
    Mutation {
        rule: "ENV-BASE64",
        what: "no padding",
        file: "core/src/smcp/envelope.rs",
        old: "    if text.len() != 88 {",
        new: r#"    let text = &format!("{}==", text.trim_end_matches('='));
    if text.len() != 88 {"#,
    },
    Mutation {
        rule: "ENV-BASE64",
        what: "the URL alphabet",
        file: "core/src/smcp/envelope.rs",
        old: "    decode_base64(text)
",
        new: r#"    decode_base64(&text.replace('-', "+").replace('_', "/"))
"#,
    },
    Mutation {
        rule: "ENV-BASE64",
        what: "non-canonical last bits",
        file: "core/src/keys/base64.rs",
        old: "    STANDARD.decode(text).ok()",
        new: "    let config = base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(text).ok()",
    },
    Mutation {
        rule: "ENV-TIMESTAMP",
        what: "second 60",
        file: "core/src/time.rs",
        old: "|| second > 59 {",
        new: "|| second > 60 {",
    },
    Mutation {
        rule: "ENV-TIMESTAMP",
        what: "no zone",
        file: "core/src/time.rs",
        old: r#"let sign = match self.one_of(b"Zz+-")? {"#,
        new: r#"if self.0.is_empty() {
            return Some(0);
        }
        let sign = match self.one_of(b"Zz+-")? {"#,
    },
    Mutation {
        rule: "ENV-TIMESTAMP",
        what: "a blank for `T`",
        file: "core/src/time.rs",
        old: r#"fields.one_of(b"Tt")?;"#,
        new: r#"fields.one_of(b"Tt ")?;"#,
    },
    Mutation {
        rule: "ENV-TIMESTAMP",
        what: "days that are not",
        file: "core/src/time.rs",
        old: "|| day > days_in_month(year, month) {",
        new: "|| day > 31 {",
    },
    Mutation {
        rule: "ENV-TIMESTAMP",
        what: "text behind it",
        file: "core/src/time.rs",
        old: "if !fields.0.is_empty() || hour > 23",
        new: "if hour > 23",
    },
    Mutation {
        rule: "ENV-FORWARDABLE",
        what: "numbers that would change",
        file: "core/src/smcp/message.rs",
        old: "        check_numbers(payload)?;
",
        new: "",
    },
    Mutation {
        rule: "ENV-FORWARDABLE",
        what: "foreign members of `params`",
        file: "core/src/smcp/message.rs",
        old: "        check_call_members(payload)?;
",
        new: "",
    },
    Mutation {
        rule: "ENV-FORWARDABLE",
        what: "infinities",
        file: "core/src/json/number.rs",
        old: r#"        (Decimal::parse(lexeme)? == Decimal::parse(&format!("{float:e}"))?).then_some(Self::Float(float))"#,
        new: "        Some(Self::Float(float))",
    },
    Mutation {
        rule: "ENV-FORWARDABLE",
        what: "no `jsonrpc`",
        file: "core/src/smcp/message.rs",
        old: r#"if payload.get("jsonrpc").and_then(Value::as_str).as_deref() != Some("2.0") {"#,
        new: "if false {",
    },
    Mutation {
        rule: "ENV-FORWARDABLE",
        what: "a request without `id`",
        file: "core/src/smcp/message.rs",
        old: r#"        None => return Err(malformed("payload member `id` is missing")),"#,
        new: "        None => {}",
    },
    Mutation {
        rule: "ENV-FORWARDABLE",
        what: "an `id` of any kind",
        file: "core/src/smcp/message.rs",
        old: r#"return Err(malformed("payload member `id` is no string or number"));"#,
        new: "",
    },
    Mutation {
        rule: "ENV-FORWARDABLE",
        what: "a call without tool name",
        file: "core/src/smcp/message.rs",
        old: "if name.is_none() {",
        new: "if false {",
    },
    Mutation {
        rule: "MSG-MEMBERS",
        what: "the token is not signed",
        file: "core/src/smcp/message.rs",
        old: "json::write_string(security_token, &mut bytes);",
        new: r#"let _ = security_token;
        json::write_string("", &mut bytes);"#,
    },
    Mutation {
        rule: "MSG-MEMBERS",
        what: "the second is not signed",
        file: "core/src/smcp/message.rs",
        old: "bytes.extend_from_slice(timestamp.to_string().as_bytes());",
        new: "let _ = timestamp;",
    },
    Mutation {
        rule: "MSG-STRINGS",
        what: "`/` is escaped",
        file: "core/src/json/canonical.rs",
        old: r#"        b'"' | b'\\' => byte,
        0x08"#,
        new: r#"        b'"' | b'\\' | b'/' => byte,
        0x7F"#,
    },
    Mutation {
        rule: "MSG-STRINGS",
        what: "long escapes for short ones",
        file: "core/src/json/canonical.rs",
        old: "        0x0A => b'n',
",
        new: "",
    },
    Mutation {
        rule: "MSG-STRINGS",
        what: "upper case in escapes",
        file: "core/src/json/canonical.rs",
        old: r#"b"0123456789abcdef""#,
        new: r#"b"0123456789ABCDEF""#,
    },
    Mutation {
        rule: "MSG-STRINGS",
        what: "escapes are copied as they came",
        file: "core/src/json/scan.rs",
        old: "Ok(unit < 0x20 && !short && lower)",
        new: "Ok(true)",
    },
    Mutation {
        rule: "MSG-ORDER",
        what: "members in the order of the wire",
        file: "core/src/json/canonical.rs",
        old: "if object.has(UNSORTED) || (order",
        new: "if (order",
    },
    Mutation {
        rule: "MSG-ORDER",
        what: "UTF-16 order is not tried",
        file: "core/src/smcp/message.rs",
        old: "if !payload.orders_differ() {",
        new: "if true {",
    },
    Mutation {
        rule: "MSG-LEXEME",
        what: "numbers are written anew",
        file: "core/src/json/canonical.rs",
        old: "Kind::Null | Kind::Boolean | Kind::Number => output.extend_from_slice(value.raw_bytes()),",
        new: "Kind::Null | Kind::Boolean => output.extend_from_slice(value.raw_bytes()),
        Kind::Number => output.extend_from_slice(value.raw().parse::<f64>().unwrap_or_default().to_string().as_bytes()),",
    },
    Mutation {
        rule: "MSG-LEXEME",
        what: "canonical text with other numbers",
        file: "core/src/json/scan.rs",
        old: "        self.push(start, Kind::Number, CANONICAL);",
        new: "        self.push(start, Kind::Number, 0);",
    },
    Mutation {
        rule: "MSG-TAMPER",
        what: "any signature",
        file: "core/src/smcp/message.rs",
        old: "        let refusal = match key.verify(&message.bytes, signature) {
            Ok(()) => return Ok(message),",
        new: "        let refusal = match key.verify(&message.bytes, signature).or(Ok::<(), Error>(())) {
            Ok(()) => return Ok(message),",
    },
    Mutation {
        rule: "MSG-TAMPER",
        what: "any signature in the second order",
        file: "core/src/smcp/message.rs",
        old: "        key.verify(&message.bytes, signature)?;
        Ok(message)",
        new: "        let _ = key.verify(&message.bytes, signature);
        Ok(message)",
    },
    Mutation {
        rule: "KEY-STRICT",
        what: "small orders and large S in signatures",
        file: "core/src/keys/public.rs",
        old: "        self.0
            .verify_strict(message, &signature)",
        new: "        use ed25519_dalek::Verifier as _;
        self.0
            .verify(message, &signature)",
    },
    Mutation {
        rule: "KEY-STRICT",
        what: "keys of small order",
        file: "core/src/keys/public.rs",
        old: "        if key.is_weak() {",
        new: "        if false {",
    },
    Mutation {
        rule: "KEY-STRICT",
        what: "keys in other encodings",
        file: "core/src/keys/public.rs",
        old: "        if key.to_edwards().compress().as_bytes() != bytes {",
        new: "        if false {",
    },
];
