//! Who may not attest again: workloads, and the keys blocked with them.

use std::collections::{BTreeMap, HashMap};

use super::{Block, BlockRecord};
use crate::keys::PublicKey;
use crate::time::UnixTime;

/// Blocked workloads and keys, bounded in workloads and keys together.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    workloads: BTreeMap<String, Blocked>,
    /// For each blocked key the workloads it was blocked with.
    keys: HashMap<PublicKey, Vec<String>>,
    /// Pairs of workload and key.
    pairs: usize,
}

#[derive(Debug)]
struct Blocked {
    block: Block,
    keys: Vec<PublicKey>,
}

impl Blocks {
    pub(super) fn holds(&self, workload_id: &str, key: &PublicKey, now: UnixTime) -> bool {
        let workload_holds =
            |workload: &str| self.workloads.get(workload).is_some_and(|blocked| blocked.block.holds(now));
        workload_holds(workload_id)
            || self.keys.get(key).is_some_and(|workloads| workloads.iter().any(|workload| workload_holds(workload)))
    }

    /// Adds a block; `false` when there are `capacity` pairs already that still hold.
    pub(super) fn add(
        &mut self,
        workload_id: &str,
        key: PublicKey,
        block: Block,
        capacity: usize,
        now: UnixTime,
    ) -> bool {
        let known = self.workloads.get(workload_id).is_some_and(|blocked| blocked.keys.contains(&key));
        if !known && self.pairs >= capacity {
            // Only now, since a clock that ran ahead for a moment must not lift a block for good.
            self.forget_past(now);
            if self.pairs >= capacity {
                return false;
            }
        }
        let blocked =
            self.workloads.entry(workload_id.to_owned()).or_insert_with(|| Blocked { block, keys: Vec::new() });
        blocked.block = blocked.block.max(block);
        if !blocked.keys.contains(&key) {
            blocked.keys.push(key);
            self.keys.entry(key).or_default().push(workload_id.to_owned());
            self.pairs = self.pairs.saturating_add(1);
        }
        true
    }

    fn forget_past(&mut self, now: UnixTime) {
        let past: Vec<String> = self
            .workloads
            .iter()
            .filter(|(_, blocked)| !blocked.block.holds(now))
            .map(|(workload, _)| workload.clone())
            .collect();
        for workload in past {
            self.lift(&workload);
        }
    }

    pub(super) fn lift(&mut self, workload_id: &str) -> bool {
        let Some(blocked) = self.workloads.remove(workload_id) else { return false };
        self.pairs = self.pairs.saturating_sub(blocked.keys.len());
        for key in blocked.keys {
            if let Some(workloads) = self.keys.get_mut(&key) {
                workloads.retain(|workload| workload != workload_id);
                if workloads.is_empty() {
                    self.keys.remove(&key);
                }
            }
        }
        true
    }

    pub(super) fn list(&self, now: UnixTime) -> Vec<BlockRecord> {
        self.workloads
            .iter()
            .filter(|(_, blocked)| blocked.block.holds(now))
            .map(|(workload, blocked)| BlockRecord {
                workload_id: workload.clone(),
                keys: blocked.keys.clone(),
                block: blocked.block,
            })
            .collect()
    }
}
