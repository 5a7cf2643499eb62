//! SipHash-1-3: a hash with a key, quick for short messages. Whoever does not know the key cannot choose
//! messages whose hashes agree.
//!
//! It is here because hashes are on disk. That of the standard library may change with any version.

/// The hash of a message under a key of two words.
pub(super) fn hash(key: [u64; 2], message: &[u8]) -> u64 {
    let mut state = State::new(key);
    let (words, rest) = message.as_chunks::<8>();
    for word in words {
        state.add(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    // The lowest byte of the length is the highest of the last word.
    let len = (message.len() as u64) << 56;
    state.add(u64::from_le_bytes(last) | len);
    state.finish()
}

struct State([u64; 4]);

impl State {
    fn new([first, second]: [u64; 2]) -> Self {
        Self([
            first ^ 0x736f_6d65_7073_6575,
            second ^ 0x646f_7261_6e64_6f6d,
            first ^ 0x6c79_6765_6e65_7261,
            second ^ 0x7465_6462_7974_6573,
        ])
    }

    fn add(&mut self, word: u64) {
        let [.., last] = &mut self.0;
        *last ^= word;
        self.round();
        let [first, ..] = &mut self.0;
        *first ^= word;
    }

    fn finish(mut self) -> u64 {
        let [_, _, third, _] = &mut self.0;
        *third ^= 0xff;
        (0..3).for_each(|_| self.round());
        self.0.into_iter().fold(0, |hash, word| hash ^ word)
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher};

    use super::hash;

    /// The standard library has SipHash-1-3 with the key 0, at present.
    #[test]
    fn it_is_siphash_1_3() {
        let message: Vec<u8> = (0..=255).collect();
        for len in 0..message.len() {
            let mut theirs = DefaultHasher::new();
            theirs.write(&message[..len]);
            assert_eq!(hash([0, 0], &message[..len]), theirs.finish(), "{len}");
        }
    }

    /// What is on disk never changes.
    #[test]
    fn a_key_changes_the_hash() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(hash(key, b""), 0xabac_0158_050f_c4dc);
        assert_eq!(hash(key, &[0]), 0xc9f4_9bf3_7d57_ca93);
        assert_eq!(hash(key, &[0, 1, 2, 3, 4, 5, 6, 7]), 0x3690_9511_8d29_9a8e);
    }
}
