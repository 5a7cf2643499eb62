//! Keys and values of the rows: whatever they hold, reading them does not panic, and what reads
//! encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partstore::fuzzing::{check_fields, check_key, seal, unseal};

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (tree, key, value) = input;
    let _ = check_key(key);
    let _ = check_fields(value);
    if let Some(fields) = unseal(tree, key, value) {
        assert_eq!(seal(tree, key, fields).as_deref(), Some(value));
    }
    if let Some(sealed) = seal(tree, key, value) {
        assert_eq!(unseal(tree, key, &sealed), Some(value));
        let mut other = key.to_vec();
        other.push(0);
        assert_eq!(unseal(tree, &other, &sealed), None);
    }
});
