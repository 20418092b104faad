//! Properties of the scanner and the canonical writer.

use proptest::prelude::*;
use serde_json::Value as Json;
use smcp_core::json::{KeyOrder, Kind, Value, respell, scan, write_canonical};

/// A logical JSON value.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::hash_map(any_name(), inner, 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that exercise both key orders.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![".{0,6}", "[a-c]{1,2}", "[\u{e000}-\u{e002}\u{1f600}-\u{1f602}\u{ffff}z]{1,2}"]
}

/// Writes a value with white space, escapes and member order drawn from `noise`.
fn write_noisily(value: &Json, noise: &mut impl FnMut() -> u8, out: &mut String) {
    let space = |noise: &mut dyn FnMut() -> u8| [" ", "", "\n", "\t ", "\r"][usize::from(noise() % 5)];
    out.push_str(space(noise));
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => out.push_str(&value.to_string()),
        Json::String(text) => write_text(text, noise, out),
        Json::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_noisily(element, noise, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if noise().is_multiple_of(2) {
                members.reverse();
            }
            out.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(space(noise));
                write_text(name, noise, out);
                out.push_str(space(noise));
                out.push(':');
                write_noisily(member, noise, out);
            }
            out.push('}');
        }
    }
    out.push_str(space(noise));
}

fn write_text(text: &str, noise: &mut impl FnMut() -> u8, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if u32::from(character) < 0x20 || character == '"' || character == '\\' || noise().is_multiple_of(3) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let digits =
                    if noise().is_multiple_of(2) { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
                out.push_str(&digits);
            }
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

fn noise_from(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    }
}

/// Rebuilds the logical value through the accessors.
fn rebuild(value: Value<'_>) -> Json {
    match value.kind() {
        Kind::Null => Json::Null,
        Kind::Boolean => Json::Bool(value.as_bool().unwrap()),
        Kind::Number => serde_json::from_str(value.as_number().unwrap()).unwrap(),
        Kind::String => Json::String(value.as_str().unwrap().into_owned()),
        Kind::Array => value.elements().map(rebuild).collect(),
        Kind::Object => {
            Json::Object(value.members().map(|(name, member)| (name.into_owned(), rebuild(member))).collect())
        }
    }
}

/// Turns every name pair that differs only in spelling into one, as JSON objects with unique names have.
fn spelled(value: &Json, seed: u64) -> String {
    let mut text = String::new();
    write_noisily(value, &mut noise_from(seed), &mut text);
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// parse ∘ write is the identity, whatever spelling the value arrived in.
    #[test]
    fn parse_after_write_is_identity(value in any_json(), seed in any::<u64>()) {
        let text = spelled(&value, seed);
        let document = scan(text.as_bytes()).unwrap();
        prop_assert_eq!(rebuild(document.root()), value.clone());
        for order in [KeyOrder::CodePoint, KeyOrder::Utf16] {
            let canonical = write_canonical(document.root(), order);
            let again = scan(&canonical).unwrap();
            prop_assert_eq!(rebuild(again.root()), value.clone());
            prop_assert_eq!(write_canonical(again.root(), order), canonical);
        }
    }

    /// Two spellings of one value have one canonical form, up to the number lexemes, which serde writes one way here.
    #[test]
    fn spelling_does_not_matter(value in any_json(), one in any::<u64>(), two in any::<u64>()) {
        let (first, second) = (spelled(&value, one), spelled(&value, two));
        let (first, second) = (scan(first.as_bytes()).unwrap(), scan(second.as_bytes()).unwrap());
        for order in [KeyOrder::CodePoint, KeyOrder::Utf16] {
            prop_assert_eq!(write_canonical(first.root(), order), write_canonical(second.root(), order));
        }
        prop_assert_eq!(respell(first.root()), respell(second.root()));
    }

    /// A canonical text is what `scan` calls canonical: its UTF-8 is valid and it is a fixed point.
    #[test]
    fn respelled_text_is_canonical(value in any_json(), seed in any::<u64>()) {
        let text = spelled(&value, seed);
        let spelled = respell(scan(text.as_bytes()).unwrap().root()).unwrap();
        prop_assert_eq!(write_canonical(scan(&spelled).unwrap().root(), KeyOrder::CodePoint), spelled);
    }

    /// Arbitrary bytes never panic, and what we accept serde_json accepts too.
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if scan(&bytes).is_ok() {
            prop_assert!(serde_json::from_slice::<Json>(&bytes).is_ok() || String::from_utf8_lossy(&bytes).contains(['e', 'E']));
        }
    }

    /// Text from JSON's own alphabet: acceptance agrees with serde_json but for duplicates and numbers beyond doubles.
    #[test]
    fn acceptance_agrees_with_serde_json(text in "[\\[\\]{}:,\"\\\\a\\-+0-9.eEnulltrfsu \n]{0,24}") {
        let ours = scan(text.as_bytes());
        let theirs = serde_json::from_str::<Json>(&text);
        match (&ours, &theirs) {
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{text}: {error}"),
            (Err(error), Ok(_)) => prop_assert_eq!(error.reason(), "duplicate member name"),
            _ => {}
        }
    }
}
