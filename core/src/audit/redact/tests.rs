use proptest::prelude::*;

use super::*;
use crate::json::scan;

fn key() -> RedactionKey {
    RedactionKey::new(Zeroizing::new([7; 32]))
}

fn sanitised(text: &str) -> String {
    let document = scan(text.as_bytes()).unwrap();
    let sanitised = key().sanitise(document.root());
    scan(sanitised.as_bytes()).unwrap();
    String::from_utf8(sanitised.as_bytes().to_vec()).unwrap()
}

#[test]
fn no_secret_stays() {
    for text in [
        r#"{"password":"hunter2"}"#,
        r#"{"nested":[{"API-Key":["hunter2",{"x":"hunter2"}]}]}"#,
        r#"{"token":{"hunter2":1}}"#,
        r#"{"headers":[{"name":"Authorization","value":"hunter2"}]}"#,
        r#"{"headers":[{"value":"hunter2","NAME":"x-api-key"}]}"#,
        r#"{"argv":["login","--password","hunter2"]}"#,
        r#"{"headers":[["Cookie","hunter2"]]}"#,
        r#"{"command":"mysql --password=hunter2"}"#,
        r#"{"p\u0061ssword":"hunter2"}"#,
        r#"{"password=hunter2":1}"#,
        r#"["Bearer hunter2hunter2"]"#,
        r#"{"url":"https://a:hunter2@b/"}"#,
    ] {
        let result = sanitised(text);
        assert!(!result.contains("hunter2"), "{result}");
        assert!(result.contains("hmac-sha256:"), "{result}");
    }
}

#[test]
fn equal_secrets_have_equal_tags_under_one_key_only() {
    let document = scan(br#"{"password":"a","token":"a","secret":"b"}"#).unwrap();
    let tags = |key: &RedactionKey| {
        let text = key.sanitise(document.root());
        let text = scan(text.as_bytes()).unwrap();
        text.root().members().map(|(_, tag)| tag.as_str().unwrap().into_owned()).collect::<Vec<_>>()
    };
    let one = tags(&key());
    assert_eq!(one[0], one[1]);
    assert_ne!(one[0], one[2]);
    assert_eq!(one[0].len(), "hmac-sha256:".len() + 64);
    assert_ne!(one, tags(&RedactionKey::new(Zeroizing::new([8; 32]))));
}

#[test]
fn what_is_not_secret_stays() {
    let text = r#"{"path":"/a","n":1.50,"x":[true,null,"é"],"o":{"q":"a = b"},"password":null}"#;
    assert_eq!(sanitised(text), text);
}

#[test]
fn size_and_depth_are_bounded() {
    let long = "x".repeat(100_000);
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let many = format!("[{}0]", "0,".repeat(10_000));
    let wide =
        format!("{{{}\"z\":0}}", (0..5000).map(|number| format!("\"{number}\":\"{long:.100}\",")).collect::<String>());
    let number = "1".repeat(10_000);
    for text in [format!("\"{long}\""), format!("{{\"{long}1\":0,\"{long}2\":0}}"), deep, many, wide, number] {
        let result = sanitised(&text);
        assert!(result.len() < 16_384, "{}", result.len());
        assert!(result.contains('…'));
    }
    let quotes = format!("[{}\"\"]", "\"\\u0001\\u0001\\u0001\\u0001\",".repeat(5000));
    assert!(sanitised(&quotes).len() < 16_384);
}

#[test]
fn names_stay_unique() {
    let long = "x".repeat(64);
    let text = format!("{{\"{long}a\":1,\"{long}b\":2,\"…\":3,\"… 1 more\":4,\"{long}…0\":5}}");
    assert_eq!(scan(sanitised(&text).as_bytes()).unwrap().root().members().count(), 5);
}

fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![any::<String>(), "[a-z]{0,3}", Just("password".to_owned()), "…?x{60,70}"];
    let quoted = |text: String| {
        let mut bytes = Vec::new();
        write_string(&text, &mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    let name = text.clone();
    let leaf =
        prop_oneof![text.prop_map(quoted), any::<i32>().prop_map(|number| number.to_string()), Just("null".to_owned())];
    leaf.prop_recursive(10, 200, 40, move |inner| {
        let object = prop::collection::btree_map(name.clone(), inner.clone(), 0..40).prop_map(move |members| {
            let members: Vec<_> =
                members.into_iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
            format!("{{{}}}", members.join(","))
        });
        let array = prop::collection::vec(inner, 0..40).prop_map(|elements| format!("[{}]", elements.join(",")));
        prop_oneof![object, array]
    })
}

proptest! {
    #[test]
    fn the_result_is_one_line_of_strict_json(text in json()) {
        let result = sanitised(&text);
        prop_assert!(!result.contains(|character: char| character < ' '));
        prop_assert!(result.len() < 16_384);
    }
}
