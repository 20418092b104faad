//! A bounded cache of verified claims by the token's SHA-256 (section 3).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::VerifiedToken;

/// SHA-256 of a token's text.
pub(super) type TokenDigest = [u8; 32];

/// Two generations of entries: when the young one is full it becomes the old one, and the old one is dropped. Reading
/// never moves an entry, so one agent cannot keep others out for long and no operation is more than two look-ups.
#[derive(Debug)]
pub(super) struct ClaimsCache {
    generations: Mutex<Generations>,
    /// Most entries in one generation.
    capacity: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<TokenDigest, VerifiedToken>,
    old: HashMap<TokenDigest, VerifiedToken>,
}

impl ClaimsCache {
    /// A cache of at most `capacity` entries; 0 keeps none.
    pub(super) fn new(capacity: usize) -> Self {
        Self { generations: Mutex::default(), capacity: capacity / 2 }
    }

    /// The entries are only ever replaced whole, so a panic elsewhere leaves nothing half-written behind.
    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, digest: &TokenDigest) -> Option<VerifiedToken> {
        let generations = self.lock();
        generations.young.get(digest).or_else(|| generations.old.get(digest)).cloned()
    }

    pub(super) fn insert(&self, digest: TokenDigest, token: VerifiedToken) {
        if self.capacity == 0 {
            return;
        }
        let mut generations = self.lock();
        if generations.young.len() >= self.capacity {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(digest, token);
    }

    /// Drops every entry; called when the keys change.
    pub(super) fn clear(&self) {
        *self.lock() = Generations::default();
    }

    pub(super) fn len(&self) -> usize {
        let generations = self.lock();
        generations.young.len().saturating_add(generations.old.len())
    }
}
