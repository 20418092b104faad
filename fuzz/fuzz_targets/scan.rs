//! Strict JSON: what `scan` takes, serde_json takes too; what only `scan` refuses, it refuses for one of its own rules;
//! the canonical text of a document is a fixed point and has the same meaning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use smcp_core::json::{self, KeyOrder, Kind, Value};

fuzz_target!(|input: &[u8]| {
    let reference = serde_json::from_slice::<IgnoredAny>(input);
    match json::scan(input) {
        Ok(document) => {
            assert!(reference.is_ok(), "taken, but serde_json says {reference:?}");
            assert!(std::str::from_utf8(input).is_ok(), "taken, but no UTF-8");
            for order in [KeyOrder::CodePoint, KeyOrder::Utf16] {
                check_canonical(document.root(), order);
            }
            // Walks every accessor of every value; none may panic.
            let _ = walk(document.root());
            let _ = json::to_value(document.root());
            let _ = json::respell(document.root());
        }
        Err(error) => {
            assert!(error.offset() <= input.len());
            if reference.is_ok() && std::str::from_utf8(input).is_ok() {
                // Rules that JSON in general does not have.
                let own = ["duplicate", "surrogate", "nesting", "byte order mark", "larger"];
                let reason = error.reason();
                assert!(own.iter().any(|word| reason.contains(word)), "serde_json takes it, refused as {reason}");
            }
        }
    }
});

fn check_canonical(root: Value<'_>, order: KeyOrder) {
    let text = json::write_canonical(root, order);
    let again = json::scan(&text).expect("canonical text is strict JSON");
    assert_eq!(json::write_canonical(again.root(), order), text, "canonical text is no fixed point");
    assert!(!root.orders_differ() || root.kind() != Kind::Null);
    if !root.orders_differ() {
        assert_eq!(json::write_canonical(root, KeyOrder::CodePoint), json::write_canonical(root, KeyOrder::Utf16));
    }
    assert!(same(root, again.root()), "canonical text means something else");
}

/// Equal as JSON, numbers by their characters, members in any order.
fn same(left: Value<'_>, right: Value<'_>) -> bool {
    if left.kind() != right.kind() {
        return false;
    }
    match left.kind() {
        Kind::Null => true,
        Kind::Boolean => left.as_bool() == right.as_bool(),
        Kind::Number => left.as_number() == right.as_number(),
        Kind::String => left.as_str() == right.as_str(),
        Kind::Array => {
            left.elements().count() == right.elements().count()
                && left.elements().zip(right.elements()).all(|(left, right)| same(left, right))
        }
        Kind::Object => {
            left.members().count() == right.members().count()
                && left.members().all(|(name, left)| right.get(&name).is_some_and(|right| same(left, right)))
        }
    }
}

fn walk(value: Value<'_>) -> usize {
    let here = value.raw().len() + value.as_str().map_or(0, |text| text.len()) + value.offset();
    let _ = (value.as_i64(), value.is_null(), value.is_empty_container());
    here + value.elements().map(walk).sum::<usize>() + value.members().map(|(_, member)| walk(member)).sum::<usize>()
}
