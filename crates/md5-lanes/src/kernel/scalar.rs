//! The compression function without vectors, for one message or a few.
//!
//! A message alone leaves most of a processor idle: each step waits for the one before. Two messages whose steps
//! are mixed take as long as one. More than four do not fit into the registers.

use super::{Block, SINES, State};

/// For how many messages at once it is worth a try.
#[cfg(target_arch = "x86_64")]
pub(super) const MOST: usize = 4;

/// A step of each message. B comes from the step before, so all that does not need B is added up first.
macro_rules! step {
    (($v:ident, $x:ident) $round:ident, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
        for (v, x) in $v.iter_mut().zip(&$x) {
            let [b, c, d] = [v[$b], v[$c], v[$d]];
            let ready = v[$a].wrapping_add(x[$w]).wrapping_add(SINES[$s]);
            let sum = step!(@$round, ready, b, c, d);
            v[$a] = b.wrapping_add(sum.rotate_left($t));
        }
    };
    (@f, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        in_this_order($ready).wrapping_add($d ^ ($b & ($c ^ $d)))
    };
    (@g, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        in_this_order($ready.wrapping_add($c & !$d)).wrapping_add($b & $d)
    };
    (@h, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        in_this_order($ready).wrapping_add($b ^ in_this_order($c ^ $d))
    };
    (@i, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        in_this_order($ready).wrapping_add($c ^ ($b | !$d))
    };
}

/// Hashes equally many blocks of each of `N` messages.
///
/// One message is hashed a third faster than by the plain form, in which the compiler chooses the order of the additions.
///
/// # Panics
/// When there are not `N` messages, or they differ in length.
pub(super) fn compress<const N: usize>(messages: &mut [(&mut State, &[Block])]) {
    assert_eq!(messages.len(), N, "messages");
    let blocks = messages[0].1.len();
    assert!(
        messages.iter().all(|(_, input)| input.len() == blocks),
        "as many blocks of each message"
    );
    for block in 0..blocks {
        let mut x = [[0; 16]; N];
        let mut v = [[0; 4]; N];
        for ((x, v), (state, input)) in x.iter_mut().zip(&mut v).zip(&*messages) {
            let (words, _) = input[block].as_chunks();
            for (word, bytes) in x.iter_mut().zip(words) {
                *word = u32::from_le_bytes(*bytes);
            }
            *v = **state;
        }
        rounds!(step(v, x));
        for ((state, _), v) in messages.iter_mut().zip(v) {
            for (word, after) in state.iter_mut().zip(v) {
                *word = word.wrapping_add(after);
            }
        }
    }
}

/// Returns `value`, and has it computed before what follows. The compiler would otherwise choose an order of
/// additions that makes the chain of dependent steps longer.
#[inline]
fn in_this_order(value: u32) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    let value = {
        let mut value = value;
        // SAFETY: there is no instruction.
        unsafe {
            std::arch::asm!("/* {0:e} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        value
    };
    value
}
