//! Arguments for the log: secrets replaced, size and depth bounded (section 10).

mod secret;

use std::borrow::Cow;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use self::secret::{is_secret_name, is_secret_text};
use super::hex::encode_hex;
use crate::json::{KeyOrder, Kind, Value, write_canonical, write_string};

/// Output beyond which nothing more is begun, in bytes.
const BUDGET: usize = 4096;
const DEPTH: usize = 6;
/// Members or elements of one container.
const ENTRIES: usize = 32;
/// Characters of a string, of a member name, and of a number.
const LONGEST_TEXT: usize = 256;
const LONGEST_NAME: usize = 64;
/// Stands for what is left out.
const CUT: char = '…';

/// Members that name what another member of the same object holds: `{"name": "Authorization", "value": …}`.
const NAMING_MEMBERS: [&str; 6] = ["name", "key", "header", "field", "variable", "parameter"];

/// The random key of one log, under which secrets can be compared with each other but not guessed.
pub struct RedactionKey(Zeroizing<[u8; 32]>);

/// JSON text without secrets, of bounded size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sanitised(Vec<u8>);

impl Sanitised {
    /// The JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl RedactionKey {
    /// From 32 bytes of the operating system's generator.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Copies `value` without what looks secret: values of members with a telling name, and texts that are recognised
    /// as credentials, become `hmac-sha256:…` of their canonical JSON.
    #[must_use]
    pub fn sanitise(&self, value: Value<'_>) -> Sanitised {
        let mut writer = Writer { key: self, output: Vec::with_capacity(256) };
        writer.value(value, 0);
        Sanitised(writer.output)
    }

    fn tag(&self, bytes: &[u8]) -> String {
        // HMAC takes a key of any length, so the error is impossible; without a tag the secret is still left out.
        let tag = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).map(|mut mac| {
            mac.update(bytes);
            encode_hex(&mac.finalize().into_bytes())
        });
        format!("hmac-sha256:{}", tag.unwrap_or_default())
    }
}

impl std::fmt::Debug for RedactionKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RedactionKey")
    }
}

struct Writer<'k> {
    key: &'k RedactionKey,
    output: Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, value: Value<'_>, depth: usize) {
        match value.kind() {
            Kind::Null | Kind::Boolean => self.output.extend_from_slice(value.raw().as_bytes()),
            Kind::Number if value.raw().len() <= LONGEST_NAME => self.output.extend_from_slice(value.raw().as_bytes()),
            Kind::Number => self.text(&cut(value.raw(), LONGEST_NAME)),
            Kind::String => {
                let text = value.as_str().unwrap_or_default();
                if is_secret_text(&text) {
                    self.secret(value);
                } else {
                    self.text(&cut(&text, LONGEST_TEXT));
                }
            }
            Kind::Array | Kind::Object if depth >= DEPTH || self.is_spent() => self.text(&CUT.to_string()),
            Kind::Array => self.array(value, depth),
            Kind::Object => self.object(value, depth),
        }
    }

    fn array(&mut self, array: Value<'_>, depth: usize) {
        self.output.push(b'[');
        let mut announced = false;
        for (index, element) in array.elements().enumerate() {
            self.comma(index);
            if index >= ENTRIES || self.is_spent() {
                let left = array.elements().count().saturating_sub(index);
                self.text(&format!("{CUT} {left} more"));
                break;
            }
            // `["--password", "x"]` and `["Authorization", "x"]`: an element names the next one.
            if std::mem::take(&mut announced) {
                self.secret(element);
            } else {
                self.value(element, depth.saturating_add(1));
                announced = element.as_str().is_some_and(|text| is_naming_text(&text));
            }
        }
        self.output.push(b']');
    }

    fn object(&mut self, object: Value<'_>, depth: usize) {
        self.output.push(b'{');
        let naming = object.members().find(|(name, value)| {
            NAMING_MEMBERS.iter().any(|naming| name.eq_ignore_ascii_case(naming))
                && value.as_str().is_some_and(|text| is_naming_text(&text))
        });
        let naming = naming.map(|(name, _)| name);
        for (index, (name, value)) in object.members().enumerate() {
            self.comma(index);
            if index >= ENTRIES || self.is_spent() {
                let left = object.members().count().saturating_sub(index);
                self.text(&CUT.to_string());
                self.output.push(b':');
                self.text(&format!("{left} more"));
                break;
            }
            let is_naming = naming.as_deref() == Some(&*name);
            self.name(&name, index);
            self.output.push(b':');
            if !is_naming && (naming.is_some() || is_secret_name(&name)) && !value.is_null() {
                self.secret(value);
            } else if is_naming {
                self.text(&cut(&value.as_str().unwrap_or_default(), LONGEST_TEXT));
            } else {
                self.value(value, depth.saturating_add(1));
            }
        }
        self.output.push(b'}');
    }

    /// A member name that stays unique: whatever is replaced gets a text that no name kept as it is has.
    fn name(&mut self, name: &str, index: usize) {
        if is_secret_text(name) || name.starts_with(CUT) {
            let tag = self.key.tag(name.as_bytes());
            self.text(&tag);
        } else {
            match cut(name, LONGEST_NAME) {
                Cow::Borrowed(name) => self.text(name),
                Cow::Owned(name) => self.text(&format!("{name}{index}")),
            }
        }
    }

    fn secret(&mut self, value: Value<'_>) {
        let tag = self.key.tag(&write_canonical(value, KeyOrder::CodePoint));
        self.text(&tag);
    }

    fn text(&mut self, text: &str) {
        write_string(text, &mut self.output);
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.output.push(b',');
        }
    }

    fn is_spent(&self) -> bool {
        self.output.len() > BUDGET
    }
}

/// A message of ours without quoted values that look secret; messages quote in backticks what a sender sent.
pub(super) fn without_secrets(message: &str) -> Cow<'_, str> {
    if !message.split('`').any(is_secret_text) {
        return Cow::Borrowed(message);
    }
    let parts: Vec<&str> = message.split('`').map(|part| if is_secret_text(part) { "…" } else { part }).collect();
    Cow::Owned(parts.join("`"))
}

/// Whether a string names the value beside it: a short word that looks secret, such as `--api-key`.
fn is_naming_text(text: &str) -> bool {
    text.len() <= LONGEST_NAME && !text.contains(char::is_whitespace) && is_secret_name(text)
}

fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}{CUT}", text.get(..end).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests;
