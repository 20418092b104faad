//! TLS of the agents' listener.

use std::path::PathBuf;

use smcp_core::error::Result;
use smcp_core::settings::Cursor;

use super::base::Base;

/// Files of TLS 1.3 with or without client certificates; they are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file with the certificate and its chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// PEM file with the authorities that sign clients' certificates; with it every client needs one.
    pub client_ca: Option<PathBuf>,
}

impl TlsConfig {
    pub(super) fn read(field: &Cursor<'_>, base: &Base<'_>) -> Result<Self> {
        let fields = field.fields(&["cert", "key", "client_ca"])?;
        Ok(Self {
            cert: base.file(&fields.required("cert")?)?,
            key: base.private_file(&fields.required("key")?)?,
            client_ca: fields.optional("client_ca").map(|field| base.file(&field)).transpose()?,
        })
    }
}
