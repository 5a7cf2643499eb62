//! What a quota allows.

use crate::{Error, Quota, Result, Usage};

/// Passes if a namespace with this quota may change from `before` to `after`. A change that adds nothing
/// always passes, also where a quota was lowered below what there is.
///
/// # Errors
/// [`Error::QuotaExceeded`].
pub fn check_quota(name: &str, quota: Quota, before: Usage, after: Usage) -> Result<()> {
    let limits = [
        ("bytes", before.bytes, after.bytes, quota.bytes),
        ("keys", before.keys, after.keys, quota.keys),
    ];
    for (what, before, proposed, quota) in limits {
        if let Some(maximum) = quota.filter(|most| proposed > before && proposed > *most) {
            return Err(Error::QuotaExceeded {
                namespace: name.to_owned(),
                what,
                proposed,
                maximum,
            });
        }
    }
    Ok(())
}
