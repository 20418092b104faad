//! The `smcp` command as a user runs it: a process with arguments, streams and an exit status.

mod audit;
mod demo;
mod gateway;
mod help;
mod init;
mod keygen;
mod policy;
mod program;
mod verify;
mod wrong_input;
