//! Stores that survive a restart. Replay and rate stores stay in memory: the restart rule of section 5 covers replay.

mod record;
mod redb;

pub use redb::RedbSessionStore;
