//! The configuration without a file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, absolute};

use smcp_core::error::{Error, ErrorKind, Result};
use smcp_core::json::write_string;
use smcp_core::settings::Syntax;

use super::Config;
use super::base::shown;

const TEMPLATE: &str = include_str!("embedded.yaml");

impl Config {
    /// The embedded defaults: the filesystem connector read-only on `root`, the context `read-only-files` for every
    /// workload, free loopback ports, state in `state`. Give `listen.address` and `operator` other ports to change
    /// them.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when `root` is not a folder, or its path is not UTF-8 or cannot stand in an allowlist.
    pub fn embedded(root: &Path, state: &Path) -> Result<Self> {
        let root_text = folder_text(root)?;
        if root_text.contains(['*', '?']) {
            let message = format!("{}: `*` and `?` in a path would be read as a pattern", shown(root));
            return Err(Error::new(ErrorKind::ConfigInvalid, message));
        }
        let text =
            TEMPLATE.replace("@ROOT@", &json_string(&root_text)).replace("@STATE@", &json_string(&folder_text(state)?));
        let mut config = Self::parse(&text, Syntax::Yaml, "embedded defaults", Path::new("/"))?;
        let free = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        config.listen.address = free;
        if let Some(operator) = &mut config.operator {
            operator.address = free;
        }
        Ok(config)
    }
}

fn folder_text(folder: &Path) -> Result<String> {
    let refuse = |what: &str| Error::new(ErrorKind::ConfigInvalid, format!("{}: {what}", shown(folder)));
    let whole = absolute(folder).map_err(|error| refuse(&error.to_string()))?;
    whole.to_str().map(str::to_owned).ok_or_else(|| refuse("is not UTF-8"))
}

/// A JSON string, which is a YAML string too.
fn json_string(text: &str) -> String {
    let mut bytes = Vec::new();
    write_string(text, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
