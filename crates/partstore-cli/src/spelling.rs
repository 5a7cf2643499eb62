//! Keys as paths: any key gets a path below the directory, and [`decode`] gives the key back.
//!
//! A `/` separates directories. In what stands between, `%` and control characters are written as `%` and two hex digits
//! of each byte. So are the dots of `.` and `..`, and the first one of a name that a half-made file could have. An empty name
//! is a `%` alone. Where a file has the name of a directory that is needed, the `/` is written as `%2F`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::aside;
use crate::failure::{Done, Failure};

/// The longest name of a file, bytes.
const NAME_MAX: usize = 255;

/// The path of a key below `root`. The directories on the way are made.
pub fn place(root: &Path, key: &str) -> Done<PathBuf> {
    let names = key.split('/').map(encode).collect::<Vec<_>>();
    let (mut dir, mut name) = (root.to_owned(), String::new());
    for (at, next) in names.iter().enumerate() {
        name.push_str(next);
        let is_last = at + 1 == names.len();
        if is_last && !dir.join(&name).is_dir() {
            break;
        }
        if is_last {
            return Err(Failure::Incomplete(format!(
                "{} is a directory; `partstore export KEY FILE` gives the object another name",
                dir.join(&name).display()
            )));
        }
        if name.len() <= NAME_MAX && make_dir(&dir.join(&name))? {
            dir.push(&name);
            name.clear();
        } else {
            name.push_str("%2F");
        }
    }
    if name.len() > NAME_MAX {
        return Err(Failure::Incomplete(
            "the key is too long for the name of a file; `partstore export KEY FILE` gives the object another name".into(),
        ));
    }
    Ok(dir.join(name))
}

/// Whether the path is a directory now. It is not if a file has its name.
fn make_dir(path: &Path) -> Done<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(_) => fs::create_dir(path)
            .map(|()| true)
            .map_err(Failure::file("create", path)),
    }
}

fn encode(name: &str) -> String {
    match name {
        "" => return "%".into(),
        "." => return "%2E".into(),
        ".." => return "%2E%2E".into(),
        _ => {}
    }
    let mut encoded = String::with_capacity(name.len());
    let is_half_made = aside::is_half_made(name.as_bytes());
    for (at, c) in name.char_indices() {
        match c {
            '.' if at == 0 && is_half_made => encoded.push_str("%2E"),
            '%' | '\0'..='\x1f' | '\x7f' => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([c as u8]));
            }
            c => encoded.push(c),
        }
    }
    encoded
}

/// The key of a path. What is not written as [`place`] writes it stays as it is.
pub fn decode(path: &str) -> String {
    path.split('/')
        .map(decode_name)
        .collect::<Vec<_>>()
        .join("/")
}

fn decode_name(name: &str) -> String {
    if name == "%" {
        return String::new();
    }
    let mut decoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        let code = after.get(..2).and_then(|code| hex::decode(code).ok());
        match (code.as_deref(), after.get(2..)) {
            (Some([byte]), Some(behind)) if byte.is_ascii() => {
                decoded.push(char::from(*byte));
                rest = behind;
            }
            // An empty name before a `%2F`.
            _ => rest = after,
        }
    }
    decoded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let keys = [
            "a",
            "a/b",
            "a/b/c",
            "/",
            "//",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../../etc/passwd",
            "%",
            "%2F",
            "a%2Fb",
            "%%/%",
            "sp ace",
            "new\nline",
            "ünï/cödé",
            "-dash",
            "x/./y",
            "q/..",
            ".x.1.partstore-partial",
            ".x.partstore-partial/y",
        ];
        for key in keys {
            let Ok(path) = place(dir.path(), key) else {
                continue;
            };
            fs::write(&path, key).unwrap();
            let below = path.strip_prefix(dir.path()).unwrap().to_str().unwrap();
            assert_eq!(decode(below), key, "{below}");
        }
    }
}
