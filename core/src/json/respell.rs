//! Writing a host language's JSON text the way our own clients send it (section 2, "Our own clients").

use super::canonical::write_string;
use super::document::{Kind, Value};
use super::number::write_ecmascript;

/// Writes `value` canonically in code point order with integers as they are and all other numbers in ECMAScript
/// spelling, so that both published verifiers and our fast path read the same bytes.
///
/// # Errors
/// With the lexeme of a number that is no finite double.
pub fn respell(value: Value<'_>) -> Result<Vec<u8>, String> {
    let mut output = Vec::with_capacity(value.raw().len());
    write(value, &mut output)?;
    Ok(output)
}

fn write(value: Value<'_>, output: &mut Vec<u8>) -> Result<(), String> {
    match value.kind() {
        Kind::Null | Kind::Boolean => output.extend_from_slice(value.raw().as_bytes()),
        Kind::Number => output.extend_from_slice(spell(value.raw())?.as_bytes()),
        Kind::String => write_string(&value.as_str().unwrap_or_default(), output),
        Kind::Array => {
            output.push(b'[');
            for (index, element) in value.elements().enumerate() {
                if index > 0 {
                    output.push(b',');
                }
                write(element, output)?;
            }
            output.push(b']');
        }
        Kind::Object => {
            let mut members: Vec<_> = value.members().collect();
            members.sort_unstable_by(|left, right| left.0.cmp(&right.0));
            output.push(b'{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    output.push(b',');
                }
                write_string(&name, output);
                output.push(b':');
                write(member, output)?;
            }
            output.push(b'}');
        }
    }
    Ok(())
}

fn spell(lexeme: &str) -> Result<String, String> {
    if lexeme == "-0" {
        return Ok("0".to_owned());
    }
    if !lexeme.contains(['.', 'e', 'E']) {
        return Ok(lexeme.to_owned());
    }
    let number: f64 = lexeme.parse().map_err(|_| lexeme.to_owned())?;
    write_ecmascript(number).ok_or_else(|| lexeme.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{KeyOrder, scan, write_canonical};
    use super::*;

    #[test]
    fn spells_numbers_once_for_everybody() {
        let text = r#"{"b":[1.0,1e16,-0,-0.0,1e-07,123456789012345678901234567890,0.1],"a":"\u00e9\/"}"#;
        let expected = "{\"a\":\"é/\",\"b\":[1,10000000000000000,0,0,1e-7,123456789012345678901234567890,0.1]}";
        let written = respell(scan(text.as_bytes()).unwrap().root()).unwrap();
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        assert_eq!(write_canonical(scan(&written).unwrap().root(), KeyOrder::CodePoint), written);
        assert_eq!(respell(scan(b"[1e400]").unwrap().root()).unwrap_err(), "1e400");
    }
}
