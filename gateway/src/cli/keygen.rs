//! `smcp keygen`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use smcp_core::json::ObjectWriter;
use smcp_core::keys::{KeyMaterial, KeySet, TokenKey};

use super::ExitStatus;
use super::connection::require_file;
use super::failure::{Failure, Outcome};
use super::input::shown;
use super::output::Output;
use crate::signer::{create_ed25519_key, create_operator_token, load_public_key, public_key_to_pem};

const EXAMPLES: &str = "\
A new file is private (mode 0600) and never overwrites another; a private key is never printed.

Examples:
  smcp keygen --out smcp-state/signing.key           a key that signs the gateway's tokens
  smcp keygen --kind agent --out agent.key           a key to register for a workload; prints its public half
  smcp keygen --kind operator-token --out operator.token
  smcp keygen --from smcp-state/audit.key --public jwks > audit.jwks
                                                     the public half, for `smcp audit verify --jwks`";

/// Make a key or an operator token, or show the public half of a key.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Keygen {
    /// File to make; without it `token.key`, `agent.key`, `audit.key` or `operator.token` in this folder
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    out: Option<PathBuf>,

    /// Make nothing; show the public half of this key (private or public, PEM)
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// What the new file is for
    #[arg(long, value_enum, default_value_t = Kind::Token, conflicts_with = "from")]
    kind: Kind,

    /// Print the public half in this form, and nothing else, on standard output
    #[arg(long, value_enum, value_name = "FORM")]
    public: Option<Form>,

    /// Print the answer as JSON
    #[arg(long, conflicts_with = "public")]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Signs the gateway's tokens
    Token,
    /// An agent's registered key
    Agent,
    /// Signs checkpoints of the audit log
    Audit,
    /// Opens the operator API
    OperatorToken,
}

impl Kind {
    const fn file(self) -> &'static str {
        match self {
            Self::Token => "token.key",
            Self::Agent => "agent.key",
            Self::Audit => "audit.key",
            Self::OperatorToken => "operator.token",
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// A JSON Web Key Set
    Jwks,
    /// A PEM block `PUBLIC KEY`
    Pem,
    /// The 32 bytes of an Ed25519 key in base64
    Base64,
}

impl Keygen {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        if let Some(path) = &self.from {
            require_file(path)?;
            self.show(&load_public_key(path)?, path, output)?;
            return Ok(ExitStatus::Done);
        }
        let path = self.out.clone().unwrap_or_else(|| PathBuf::from(self.kind.file()));
        if self.kind == Kind::OperatorToken {
            if self.public.is_some() {
                return Err(Failure::usage("an operator token has no public half"));
            }
            create_operator_token(&path)?;
            if self.json {
                output.json(&ObjectWriter::new().text("file", &path.display().to_string()).finish())?;
            } else {
                output.line(format_args!("wrote {}", shown(&path)))?;
            }
            return Ok(ExitStatus::Done);
        }
        let public = create_ed25519_key(&path)?;
        if self.public.is_some() {
            output.note(format_args!("wrote {}", shown(&path)));
        }
        self.show(&TokenKey::new(None, KeyMaterial::Ed25519(public)), &path, output)?;
        Ok(ExitStatus::Done)
    }

    fn show(&self, key: &TokenKey, path: &Path, output: &Output) -> Outcome<()> {
        let base64 = match key.material() {
            KeyMaterial::Ed25519(public) => Some(public.to_base64()),
            KeyMaterial::Rsa(_) => None,
        };
        match self.public {
            Some(Form::Jwks) => output.line(KeySet::new(vec![key.clone()])?.to_jwks()),
            Some(Form::Pem) => output.line(public_key_to_pem(key.material()).trim_end()),
            Some(Form::Base64) => {
                let text = base64
                    .ok_or_else(|| Failure::usage("an RSA key has no such form; use `--public pem` or `jwks`"))?;
                output.line(text)
            }
            None if self.json => {
                let object = ObjectWriter::new()
                    .text("file", &path.display().to_string())
                    .text("algorithm", key.algorithm().name())
                    .text("key_id", key.id())
                    .optional_text("public_key", base64.as_deref());
                output.json(&object.finish())
            }
            None => {
                let verb = if self.from.is_some() { "read" } else { "wrote" };
                output.line(format_args!("{verb} {}", shown(path)))?;
                output.line(format_args!("key id      {}", key.id()))?;
                output.line(format_args!("algorithm   {}", key.algorithm().name()))?;
                match base64 {
                    Some(text) => output.line(format_args!("public key  {text}")),
                    None => Ok(()),
                }
            }
        }
    }
}
