//! Plain MCP without envelope, for the door that is closed by default (section 5, `legacy`).

use super::Call;
use super::message::{PayloadRule, check_payload};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Document, Kind, Limits};

/// A JSON-RPC message that nobody signed, held to the same shape as a payload at a gateway.
#[derive(Debug)]
pub struct PlainCall<'a> {
    document: Document<'a>,
}

impl<'a> PlainCall<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// `MALFORMED_ENVELOPE`.
    pub fn parse(body: &'a [u8], limits: Limits) -> Result<Self> {
        let malformed = |message: String| Error::new(ErrorKind::MalformedEnvelope, message);
        let document = json::scan_with(body, limits).map_err(|error| {
            let refusal = malformed(format!("the body is not strict JSON: {error}"));
            if error.is_too_large() { refusal.with_too_large() } else { refusal }
        })?;
        if document.root().kind() != Kind::Object {
            return Err(malformed("the body is no JSON object".to_owned()));
        }
        check_payload(document.root(), PayloadRule::Forwardable)?;
        Ok(Self { document })
    }

    /// The message.
    #[must_use]
    pub fn call(&self) -> Call<'_> {
        Call::new(self.document.root())
    }
}
