//! From the verified document to the values that are forwarded (section 1: values, not bytes).
#![expect(clippy::disallowed_types, reason = "the one place where a document becomes a `serde_json::Value`")]

use super::document::{Kind, Value};
use super::number::ExactNumber;

/// Builds the `serde_json` value of `value`, for handing on to an MCP library.
///
/// # Errors
/// With the lexeme of a number whose decimal value would change on the way.
pub fn to_value(value: Value<'_>) -> Result<serde_json::Value, String> {
    use serde_json::Value as Json;
    Ok(match value.kind() {
        Kind::Null => Json::Null,
        Kind::Boolean => Json::Bool(value.as_bool().unwrap_or_default()),
        Kind::String => Json::String(value.as_str().unwrap_or_default().into_owned()),
        Kind::Array => Json::Array(value.elements().map(to_value).collect::<Result<_, _>>()?),
        Kind::Object => {
            let mut object = serde_json::Map::new();
            for (name, member) in value.members() {
                object.insert(name.into_owned(), to_value(member)?);
            }
            Json::Object(object)
        }
        Kind::Number => {
            let lexeme = value.as_number().unwrap_or_default();
            match ExactNumber::from_lexeme(lexeme) {
                Some(ExactNumber::Signed(number)) => Json::from(number),
                Some(ExactNumber::Unsigned(number)) => Json::from(number),
                Some(ExactNumber::Float(number)) => Json::from(number),
                None => return Err(lexeme.to_owned()),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    #[test]
    fn refuses_a_number_that_would_change() {
        let document = scan(br#"{"a":[1,1e400]}"#).unwrap();
        assert_eq!(to_value(document.root()).unwrap_err(), "1e400");
    }

    #[test]
    fn keeps_every_value() {
        let text = r#"{"a":[1,-2,18446744073709551615,1.5,null,true,"\u0000x"],"b":{}}"#;
        let value = to_value(scan(text.as_bytes()).unwrap().root()).unwrap();
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
}
