//! The release: removes what has ended but still has rows of parts.
//!
//! The batch that ends an upload or object with many parts removes its row and sets a tombstone. From then on
//! no verb finds it, and it counts nowhere. The rows of its parts are removed here, in groups. Each group is
//! one batch under the upload's lock, so calls that share the lock wait for a group only. The batch also sets
//! what the tombstone still stands for, and the last one removes it. So a crash loses or repeats no group.
//!
//! Until then references keep the blobs (I7): the release comes before a sweep looks for garbage.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;

use super::held::Held;
use super::locks::Locks;
use super::meta::{Change, MetaStore, SpaceUse};
use super::pins::Pins;
use crate::going::Going;
use crate::{ContentHash, Event, PartNumber, Result, UploadId};

/// Parts that one batch removes at most. Few are enough to test every order of steps.
pub(crate) const GROUP: usize = if cfg!(shuttle) { 1 } else { 32 };

pub(crate) struct Release<'a, 'g> {
    pub meta: &'a MetaStore,
    pub pins: &'a Arc<Pins>,
    pub locks: &'a Locks,
    pub held: &'a Held,
    /// It is asked between groups.
    pub going: &'a Going<'g>,
}

/// What became of a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Those behind this number.
    Parts(u16),
    /// So many, which somebody holds.
    Held(u64),
    Nothing,
}

impl Release<'_, '_> {
    /// Releases all that nobody holds, until `going` says no. Returns how many parts are held. It does not
    /// wait for the disk: whatever a crash takes back is released again.
    ///
    /// # Errors
    /// As for [`MetaStore::commit`].
    pub(crate) fn run(&self) -> Result<u64> {
        let witness = self.meta.health().witness();
        let (began, mut released) = (witness.begin(), 0);
        let held = self.release_ended(&mut released);
        // Also before an error: a full disk ends this at times, and the next call releases the others.
        if released > 0 {
            witness.tell(began, |took| Event::Release {
                parts: released,
                took,
            });
        }
        held
    }

    /// Counts in `released` the parts that it releases.
    fn release_ended(&self, released: &mut u64) -> Result<u64> {
        let (mut ended, mut held) = (Vec::new(), 0);
        self.meta.tombstones(&mut |id, _| {
            ended.push(id);
            Ok(ControlFlow::Continue(()))
        })?;
        for id in ended {
            let mut after = 0;
            while self.going.goes_on() {
                match self.release_group(id, after, released)? {
                    Left::Parts(number) => after = number,
                    Left::Held(parts) => {
                        held += parts;
                        break;
                    }
                    Left::Nothing => break,
                }
            }
        }
        Ok(held)
    }

    /// Releases parts with numbers above `after`. What was released before it left marks, over which a search
    /// from the first one would go again and again.
    fn release_group(&self, id: UploadId, after: u16, released: &mut u64) -> Result<Left> {
        let _one_order = self.locks.lock(id)?;
        let Some(mut tombstone) = self.meta.tombstone(id)? else {
            return Ok(Left::Nothing);
        };
        // I4: whoever holds it reads the rows of its parts, and their blobs.
        if self.held.holds(id) {
            return Ok(Left::Held(tombstone.parts));
        }
        let group = self.parts_after(id, after)?;
        // I4: a blob that loses a reference is pinned, so a sweep sees it before or after this change.
        let contents = group.iter().map(|(_, content, _)| *content).collect();
        let _pinned = self.pins.pin(contents)?;
        let mut change = Change::default();
        for (number, content, size) in &group {
            change.release_part(id, *number, content);
            tombstone.parts = tombstone.parts.saturating_sub(1);
            tombstone.bytes = tombstone.bytes.saturating_sub(*size);
        }
        let left = match group.last() {
            Some((number, ..)) if group.len() == GROUP => {
                change.put_tombstone(id, tombstone);
                Left::Parts(number.get())
            }
            _ => {
                change.remove_tombstone(id);
                Left::Nothing
            }
        };
        let _ = self.meta.commit(change, SpaceUse::Frees)?;
        *released += group.len() as u64;
        Ok(left)
    }

    fn parts_after(&self, id: UploadId, after: u16) -> Result<Vec<(PartNumber, ContentHash, u64)>> {
        let mut parts = Vec::with_capacity(GROUP);
        self.meta.parts(id, after, &mut |number, part| {
            parts.push((number, part.content, part.size));
            Ok(if parts.len() < GROUP {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(parts)
    }
}
