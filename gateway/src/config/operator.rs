//! The operator's own listener.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use smcp_core::error::Result;
use smcp_core::settings::Fields;

use super::address::socket;
use super::base::Base;
use super::listen::ListenConfig;

/// Port of the operator's listener without configuration.
pub const DEFAULT_OPERATOR_PORT: u16 = 8788;

/// The operator API: sessions, revocation, audit head (section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorConfig {
    /// Loopback address and port to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// File with the operator's token, made at the first start.
    pub token_file: PathBuf,
}

impl OperatorConfig {
    /// Reads `operator`; `None` when it is switched off.
    pub(super) fn read(root: &Fields<'_>, base: &Base<'_>, listen: &ListenConfig) -> Result<Option<Self>> {
        let mut config = Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_OPERATOR_PORT),
            token_file: base.state.join("operator.token"),
        };
        let Some(field) = root.optional("operator") else { return Ok(Some(config)) };
        let fields = field.fields(&["enabled", "listen", "token_file"])?;
        if let Some(address) = fields.optional("listen") {
            config.address = socket(&address)?;
            if !config.address.ip().is_loopback() {
                return Err(address.error("the operator API listens on loopback only"));
            }
            if config.address == listen.address && config.address.port() != 0 {
                return Err(address.error(&format!("`{}` is the address of `listen` already", config.address)));
            }
        }
        if let Some(file) = fields.optional("token_file") {
            config.token_file = base.path(&file)?;
        }
        let enabled = fields.optional("enabled").map_or(Ok(true), |field| field.boolean())?;
        Ok(enabled.then_some(config))
    }
}
