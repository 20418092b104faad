//! Secure Model Context Protocol: everything that must be the same in every language.
//!
//! This crate is pure: it never asks for the time, randomness, files, network or environment. The
//! caller passes `now`, random bytes and the answers of its session, replay and rate stores.

pub mod audit;
pub mod error;
pub mod json;
pub mod keys;
pub mod policy;
pub mod replay;
pub mod session;
pub mod settings;
pub mod smcp;
pub mod time;

pub use error::{Error, ErrorKind, Result};
