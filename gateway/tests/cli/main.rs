//! The `smcp` command as a user runs it: a process with arguments, streams and an exit status.
//!
//! `cfg(test)` on the modules tells clippy that their helpers are tests too.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod help;
#[cfg(test)]
mod init;
#[cfg(test)]
mod keygen;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod program;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod wrong_input;
