//! Tool servers of every sort behind [`smcp_gateway::upstream::Upstreams`].
//!
//! The servers here are written against the wire, not with the gateway's own code, and misbehave on
//! request; rmcp's own servers stand in for well-behaved foreign ones.

#[cfg(test)]
mod gateway;
#[cfg(test)]
mod http;
#[cfg(test)]
mod process;
#[cfg(test)]
mod rmcp_server;
#[cfg(test)]
mod stdio;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod web;
