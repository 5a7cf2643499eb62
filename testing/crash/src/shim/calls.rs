//! The functions that stand in for libc's, under their names.
//!
//! `open` and `openat` take a variable number of arguments in C, which Rust cannot define. On the
//! platforms that Linux and Rust share, a caller passes the mode where a fixed argument would be.

#![expect(unused_unsafe, reason = "some of the functions need none")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::time::Duration;

use crashing_disk::log::Op;
use libc::{AT_FDCWD, AT_REMOVEDIR, O_CREAT, O_TRUNC, iovec, mode_t, off64_t, size_t, ssize_t};

use super::raw::{self, call};
use super::{Failure, Kind, Shim, active, class_of, lock};

/// Runs `record` under the lock if anything is recorded, else `through`.
fn recorded<T>(through: impl FnOnce() -> T, record: impl FnOnce(&mut Shim) -> Option<T>) -> T {
    if active()
        && let Some(shim) = lock().as_mut()
        && let Some(answer) = record(shim)
    {
        return answer;
    }
    through()
}

/// Fails with the planned error, if it is this call's turn.
fn refused(shim: &mut Shim, kind: Kind) -> bool {
    let refuses = shim.refuses(kind);
    refuses.inspect(|errno| raw::set_errno(*errno)).is_some()
}

/// How many of `len` bytes may be moved: all, half, or none because of an error.
fn allowed(shim: &mut Shim, kind: Kind, len: usize) -> Option<usize> {
    match shim.fails(kind) {
        Some(Failure::Errno(errno)) => {
            raw::set_errno(errno);
            None
        }
        Some(Failure::Short) => Some(len.div_ceil(2)),
        None => Some(len),
    }
}

fn open_file(dir: c_int, path: &CStr, flags: c_int, mode: mode_t) -> c_int {
    let through = || raw::open(dir, path, flags, mode);
    recorded(through, |shim| {
        let place = shim.tracker.place_of(dir, path)?;
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            raw::set_errno(libc::EOPNOTSUPP);
            return Some(-1);
        }
        let creates = flags & O_CREAT != 0 && place.node.is_none();
        if refused(shim, if creates { Kind::Create } else { Kind::Open }) {
            return Some(-1);
        }
        let fd = through();
        if fd < 0 {
            return Some(fd);
        }
        match (raw::stat(fd), place.node) {
            (Some(stat), None) if creates => shim.tracker.create(place.entry, false, stat.inode),
            (_, Some(node)) if flags & O_TRUNC != 0 => {
                shim.tracker.log(Op::Truncate { node, len: 0 });
            }
            _ => {}
        }
        Some(fd)
    })
}

fn write_file(fd: c_int, bytes: &[u8], at: Option<u64>) -> ssize_t {
    let through = |bytes| match at {
        Some(offset) => raw::pwrite(fd, bytes, offset),
        None => raw::write(fd, bytes),
    };
    recorded(
        || through(bytes),
        |shim| {
            let node = shim.tracker.node_of(fd)?;
            let Some(len) = allowed(shim, Kind::Write, bytes.len()) else {
                return Some(-1);
            };
            let end = || raw::stat(fd).map(|stat| stat.len);
            let offset = if raw::appends(fd) {
                end()
            } else {
                at.or_else(|| raw::position(fd))
            };
            let offset = offset?;
            let written = through(&bytes[..len]);
            if let Ok(done @ 1..) = usize::try_from(written) {
                let bytes = bytes[..done].to_vec();
                shim.tracker.log(Op::Write {
                    node,
                    offset,
                    bytes,
                });
            }
            Some(written)
        },
    )
}

/// Reads with `through`, which is given how many bytes it may read.
fn read_file(fd: c_int, len: usize, through: impl Fn(usize) -> ssize_t) -> ssize_t {
    let allowed = recorded(
        || Some(len),
        |shim| {
            shim.tracker.node_of(fd)?;
            Some(allowed(shim, Kind::Read, len))
        },
    );
    allowed.map_or(-1, through)
}

/// Changes a file's size or room with `through`; it counts as a write.
fn resize(
    fd: c_int,
    op: impl FnOnce(crashing_disk::log::Node) -> Op,
    through: impl Fn() -> c_int,
) -> c_int {
    recorded(&through, |shim| {
        let node = shim.tracker.node_of(fd)?;
        if refused(shim, Kind::Write) {
            return Some(-1);
        }
        let answer = through();
        if answer == 0 {
            shim.tracker.log(op(node));
        }
        Some(answer)
    })
}

fn sync_file(name: &str, fd: c_int, through: impl Fn() -> c_int) -> c_int {
    enum Next {
        Answer(c_int),
        Sync(crashing_disk::log::Node, usize, Option<Duration>),
    }
    let next = recorded(
        || None,
        |shim| {
            let node = shim.tracker.node_of(fd)?;
            let covered = shim.tracker.unsynced(node);
            let covered = covered.filter(|_| !shim.aside);
            let class = covered.map(|covered| class_of(name, shim.tracker.path(node), &covered));
            let begun = shim.tracker.len();
            if let Some(class) = class {
                if shim.plan.without.as_ref() == Some(&class) {
                    if shim.plan.for_good {
                        shim.left_out.insert(node);
                    }
                    return Some(Some(Next::Answer(0)));
                }
                *shim.syncs.entry(class).or_default() += 1;
            }
            shim.tracker.syncing(node);
            if refused(shim, Kind::Sync) {
                shim.tracker.log(Op::SyncFailed { node, begun });
                return Some(Some(Next::Answer(-1)));
            }
            let pause = shim
                .plan
                .slow_syncs
                .then(|| Duration::from_micros(fastrand::u64(20..400)));
            Some(Some(Next::Sync(node, begun, pause)))
        },
    );
    match next {
        None => through(),
        Some(Next::Answer(answer)) => answer,
        Some(Next::Sync(node, begun, pause)) => {
            if let Some(pause) = pause {
                std::thread::sleep(pause);
            }
            let answer = through();
            if answer == 0
                && let Some(shim) = lock().as_mut()
            {
                shim.tracker.log(Op::Sync { node, begun });
            }
            answer
        }
    }
}

/// The one class of syncs of the file system.
const SYNC_OF_ALL: &str = "syncfs";

/// A sync of the file system is one of each file and directory that has something to sync.
fn sync_file_system(fd: c_int) -> c_int {
    let through = || raw::fd(call!(SYS_syncfs, fd));
    let begun = recorded(
        || None,
        |shim| {
            shim.tracker.node_of(fd)?;
            let begun = shim.tracker.len();
            if !shim.aside {
                if shim.plan.without.as_deref() == Some(SYNC_OF_ALL) {
                    return Some(Some(Err(0)));
                }
                *shim.syncs.entry(SYNC_OF_ALL.to_owned()).or_default() += 1;
            }
            let mut nodes = shim.tracker.syncing_all();
            nodes.retain(|node| !shim.left_out.contains(node));
            if refused(shim, Kind::Sync) {
                for node in nodes {
                    // Whoever syncs the journal is told of its own failures.
                    if !shim.tracker.path(node).contains("meta/") {
                        shim.tracker.log(Op::SyncFailed { node, begun });
                    }
                }
                return Some(Some(Err(-1)));
            }
            Some(Some(Ok((nodes, begun))))
        },
    );
    match begun {
        None => through(),
        Some(Err(answer)) => answer,
        Some(Ok((nodes, begun))) => {
            let answer = through();
            if answer == 0
                && let Some(shim) = lock().as_mut()
            {
                for node in nodes {
                    shim.tracker.log(Op::Sync { node, begun });
                }
            }
            answer
        }
    }
}

/// Gives a file another name with `through`, or one more.
fn name_again(
    kind: Kind,
    from: (c_int, &CStr),
    to: (c_int, &CStr),
    through: impl Fn(*const c_char, *const c_char) -> c_int,
) -> c_int {
    let through = || through(from.1.as_ptr(), to.1.as_ptr());
    recorded(through, |shim| {
        let source = shim.tracker.place_of(from.0, from.1)?;
        let target = shim.tracker.place_of(to.0, to.1)?;
        if refused(shim, kind) {
            return Some(-1);
        }
        let answer = through();
        if let (0, Some(node)) = (answer, source.node) {
            match kind {
                Kind::Rename => shim.tracker.rename(source.entry, target.entry, node),
                _ => shim.tracker.link(target.entry, node),
            }
        }
        Some(answer)
    })
}

fn rename_file(from: (c_int, &CStr), to: (c_int, &CStr), flags: c_uint) -> c_int {
    name_again(Kind::Rename, from, to, |old, new| {
        raw::fd(call!(SYS_renameat2, from.0, old, to.0, new, flags))
    })
}

fn link_file(from: (c_int, &CStr), to: (c_int, &CStr), flags: c_int) -> c_int {
    name_again(Kind::Create, from, to, |old, new| {
        raw::fd(call!(SYS_linkat, from.0, old, to.0, new, flags))
    })
}

fn remove_name(dir: c_int, path: &CStr, flags: c_int) -> c_int {
    let through = || raw::fd(call!(SYS_unlinkat, dir, path.as_ptr(), flags));
    recorded(through, |shim| {
        let place = shim.tracker.place_of(dir, path)?;
        if refused(shim, Kind::Unlink) {
            return Some(-1);
        }
        let answer = through();
        if answer == 0 {
            shim.tracker.remove(place.entry);
        }
        Some(answer)
    })
}

fn make_dir(dir: c_int, path: &CStr, mode: mode_t) -> c_int {
    let through = || raw::fd(call!(SYS_mkdirat, dir, path.as_ptr(), mode));
    recorded(through, |shim| {
        let place = shim.tracker.place_of(dir, path)?;
        if refused(shim, Kind::Create) {
            return Some(-1);
        }
        let answer = through();
        if let (0, Some(stat)) = (answer, raw::stat_at(dir, path, 0)) {
            shim.tracker.create(place.entry, true, stat.inode);
        }
        Some(answer)
    })
}

/// A call on an open file that changes nothing on the disk.
fn ask(kind: Kind, fd: c_int, through: impl Fn() -> c_int) -> c_int {
    recorded(&through, |shim| {
        shim.tracker.node_of(fd)?;
        Some(if refused(shim, kind) { -1 } else { through() })
    })
}

/// The same of a name.
fn ask_of_name(dir: c_int, path: &CStr, through: impl Fn() -> c_int) -> c_int {
    recorded(&through, |shim| {
        shim.tracker.place_of(dir, path)?;
        Some(if refused(shim, Kind::Stat) {
            -1
        } else {
            through()
        })
    })
}

fn next_entry(stream: *mut libc::DIR) -> *mut libc::dirent64 {
    let through = || raw::next_entry(stream);
    recorded(through, |shim| {
        shim.tracker.node_of(raw::descriptor_of(stream))?;
        Some(if refused(shim, Kind::List) {
            std::ptr::null_mut()
        } else {
            through()
        })
    })
}

/// The bytes of an I/O vector, one behind the other.
unsafe fn gathered(vector: *const iovec, count: c_int) -> Vec<u8> {
    // SAFETY: the caller of `writev` vouches for the vector and for what it points to.
    let parts = unsafe { std::slice::from_raw_parts(vector, usize::try_from(count).unwrap_or(0)) };
    let mut bytes = Vec::new();
    for part in parts.iter().filter(|part| part.iov_len > 0) {
        // SAFETY: as above.
        bytes.extend_from_slice(unsafe {
            std::slice::from_raw_parts(part.iov_base.cast(), part.iov_len)
        });
    }
    bytes
}

/// A buffer as a slice.
unsafe fn slice<'a>(start: *const c_void, len: size_t) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller of `write` vouches for the buffer.
    unsafe { std::slice::from_raw_parts(start.cast(), len) }
}

unsafe fn text<'a>(path: *const c_char) -> &'a CStr {
    // SAFETY: the caller of the libc function vouches for the path.
    unsafe { CStr::from_ptr(path) }
}

fn unsigned(offset: off64_t) -> u64 {
    offset.cast_unsigned()
}

/// Defines functions under libc's names, each with the docs that C's headers have for it.
macro_rules! libc_functions {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty $body:block)*) => {
        $(
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $answer {
                // SAFETY: the caller keeps libc's contract for this function.
                unsafe { $body }
            }
        )*
    };
}

libc_functions! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_file(AT_FDCWD, text(path), flags, mode) }
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_file(AT_FDCWD, text(path), flags, mode) }
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_file(dir, text(path), flags, mode) }
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int { open_file(dir, text(path), flags, mode) }
    fn creat(path: *const c_char, mode: mode_t) -> c_int { open_file(AT_FDCWD, text(path), O_CREAT | O_TRUNC | libc::O_WRONLY, mode) }
    fn creat64(path: *const c_char, mode: mode_t) -> c_int { open_file(AT_FDCWD, text(path), O_CREAT | O_TRUNC | libc::O_WRONLY, mode) }

    fn write(fd: c_int, start: *const c_void, len: size_t) -> ssize_t { write_file(fd, slice(start, len), None) }
    fn pwrite(fd: c_int, start: *const c_void, len: size_t, offset: off64_t) -> ssize_t { write_file(fd, slice(start, len), Some(unsigned(offset))) }
    fn pwrite64(fd: c_int, start: *const c_void, len: size_t, offset: off64_t) -> ssize_t { write_file(fd, slice(start, len), Some(unsigned(offset))) }
    fn writev(fd: c_int, vector: *const iovec, count: c_int) -> ssize_t { write_file(fd, &gathered(vector, count), None) }
    fn pwritev(fd: c_int, vector: *const iovec, count: c_int, offset: off64_t) -> ssize_t { write_file(fd, &gathered(vector, count), Some(unsigned(offset))) }
    fn pwritev64(fd: c_int, vector: *const iovec, count: c_int, offset: off64_t) -> ssize_t { write_file(fd, &gathered(vector, count), Some(unsigned(offset))) }

    fn read(fd: c_int, start: *mut c_void, len: size_t) -> ssize_t { read_file(fd, len, |len| raw::size(call!(SYS_read, fd, start, len))) }
    fn pread(fd: c_int, start: *mut c_void, len: size_t, offset: off64_t) -> ssize_t { read_file(fd, len, |len| raw::size(call!(SYS_pread64, fd, start, len, offset))) }
    fn pread64(fd: c_int, start: *mut c_void, len: size_t, offset: off64_t) -> ssize_t { read_file(fd, len, |len| raw::size(call!(SYS_pread64, fd, start, len, offset))) }

    fn ftruncate(fd: c_int, len: off64_t) -> c_int { resize(fd, |node| Op::Truncate { node, len: unsigned(len) }, || raw::fd(call!(SYS_ftruncate, fd, len))) }
    fn ftruncate64(fd: c_int, len: off64_t) -> c_int { resize(fd, |node| Op::Truncate { node, len: unsigned(len) }, || raw::fd(call!(SYS_ftruncate, fd, len))) }
    fn fallocate(fd: c_int, mode: c_int, offset: off64_t, len: off64_t) -> c_int { allocate(fd, mode, offset, len) }
    fn fallocate64(fd: c_int, mode: c_int, offset: off64_t, len: off64_t) -> c_int { allocate(fd, mode, offset, len) }
    fn posix_fallocate(fd: c_int, offset: off64_t, len: off64_t) -> c_int { if allocate(fd, 0, offset, len) == 0 { 0 } else { raw::errno() } }
    fn posix_fallocate64(fd: c_int, offset: off64_t, len: off64_t) -> c_int { if allocate(fd, 0, offset, len) == 0 { 0 } else { raw::errno() } }

    fn syncfs(fd: c_int) -> c_int { sync_file_system(fd) }
    fn fsync(fd: c_int) -> c_int { sync_file("fsync", fd, || raw::fd(call!(SYS_fsync, fd))) }
    fn fdatasync(fd: c_int) -> c_int { sync_file("fdatasync", fd, || raw::fd(call!(SYS_fdatasync, fd))) }

    fn rename(from: *const c_char, to: *const c_char) -> c_int { rename_file((AT_FDCWD, text(from)), (AT_FDCWD, text(to)), 0) }
    fn renameat(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char) -> c_int { rename_file((from_dir, text(from)), (to_dir, text(to)), 0) }
    fn renameat2(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: c_uint) -> c_int { rename_file((from_dir, text(from)), (to_dir, text(to)), flags) }
    fn link(from: *const c_char, to: *const c_char) -> c_int { link_file((AT_FDCWD, text(from)), (AT_FDCWD, text(to)), 0) }
    fn linkat(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: c_int) -> c_int { link_file((from_dir, text(from)), (to_dir, text(to)), flags) }
    fn unlink(path: *const c_char) -> c_int { remove_name(AT_FDCWD, text(path), 0) }
    fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int { remove_name(dir, text(path), flags) }
    fn rmdir(path: *const c_char) -> c_int { remove_name(AT_FDCWD, text(path), AT_REMOVEDIR) }
    fn readdir(stream: *mut libc::DIR) -> *mut libc::dirent64 { next_entry(stream) }
    fn readdir64(stream: *mut libc::DIR) -> *mut libc::dirent64 { next_entry(stream) }
    fn fstat(fd: c_int, into: *mut libc::stat64) -> c_int { ask(Kind::Stat, fd, || raw::fd(call!(SYS_fstat, fd, into))) }
    fn fstat64(fd: c_int, into: *mut libc::stat64) -> c_int { ask(Kind::Stat, fd, || raw::fd(call!(SYS_fstat, fd, into))) }
    fn fstatat(dir: c_int, path: *const c_char, into: *mut libc::stat64, flags: c_int) -> c_int { ask_of_name(dir, text(path), || raw::fd(call!(SYS_newfstatat, dir, path, into, flags))) }
    fn fstatat64(dir: c_int, path: *const c_char, into: *mut libc::stat64, flags: c_int) -> c_int { ask_of_name(dir, text(path), || raw::fd(call!(SYS_newfstatat, dir, path, into, flags))) }
    fn flock(fd: c_int, operation: c_int) -> c_int { ask(Kind::Lock, fd, || raw::fd(call!(SYS_flock, fd, operation))) }
    fn fcntl(fd: c_int, command: c_int, argument: libc::c_ulong) -> c_int { set_flags(fd, command, argument) }
    fn fcntl64(fd: c_int, command: c_int, argument: libc::c_ulong) -> c_int { set_flags(fd, command, argument) }

    fn mkdir(path: *const c_char, mode: mode_t) -> c_int { make_dir(AT_FDCWD, text(path), mode) }
    fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int { make_dir(dir, text(path), mode) }
}

/// All of `fcntl`, whose one argument beside the command is a number or a pointer.
fn set_flags(fd: c_int, command: c_int, argument: libc::c_ulong) -> c_int {
    let through = || raw::fd(call!(SYS_fcntl, fd, command, argument));
    match command {
        libc::F_SETFL => ask(Kind::Flags, fd, through),
        _ => through(),
    }
}

/// `sync_file_range` is not among them: it promises nothing about what survives.
fn allocate(fd: c_int, mode: c_int, offset: off64_t, len: off64_t) -> c_int {
    let end = if mode & libc::FALLOC_FL_KEEP_SIZE == 0 {
        unsigned(offset + len)
    } else {
        0
    };
    resize(
        fd,
        |node| Op::Allocate { node, end },
        || raw::fd(call!(SYS_fallocate, fd, mode, offset, len)),
    )
}
