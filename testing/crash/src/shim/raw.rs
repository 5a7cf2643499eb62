//! The real system calls, which the names in [`calls`](super::calls) hide.

use std::ffi::{CStr, c_int};

use libc::{c_long, off64_t};

/// Calls the kernel and sets `errno`, as libc would.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the arguments are those of the caller of the libc function, unchanged, or made
        // in this module from references that outlive the call.
        unsafe { libc::syscall(libc::$number $(, $argument)*) }
    };
}

pub(super) use call;

pub fn open(dir: c_int, path: &CStr, flags: c_int, mode: libc::mode_t) -> c_int {
    fd(call!(SYS_openat, dir, path.as_ptr(), flags, mode))
}

pub fn pwrite(fd: c_int, bytes: &[u8], offset: u64) -> isize {
    let (start, len) = (bytes.as_ptr(), bytes.len());
    size(call!(SYS_pwrite64, fd, start, len, offset.cast_signed()))
}

pub fn write(fd: c_int, bytes: &[u8]) -> isize {
    size(call!(SYS_write, fd, bytes.as_ptr(), bytes.len()))
}

/// Where the next `write` goes; `None` for what has no position.
pub fn position(fd: c_int) -> Option<u64> {
    u64::try_from(call!(SYS_lseek, fd, 0 as off64_t, libc::SEEK_CUR)).ok()
}

/// Device, inode, length and whether it is a directory.
pub fn stat(fd: c_int) -> Option<Stat> {
    stat_at(fd, c"", libc::AT_EMPTY_PATH)
}

pub fn stat_at(dir: c_int, path: &CStr, flags: c_int) -> Option<Stat> {
    // SAFETY: all bytes zero is a value of this plain structure.
    let mut found: libc::stat64 = unsafe { std::mem::zeroed() };
    let into = &raw mut found;
    (call!(SYS_newfstatat, dir, path.as_ptr(), into, flags) == 0).then(|| Stat {
        device: found.st_dev,
        inode: found.st_ino,
        len: found.st_size.cast_unsigned(),
    })
}

#[derive(Clone, Copy, Debug)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    pub len: u64,
}

/// Whether the descriptor appends.
pub fn appends(fd: c_int) -> bool {
    call!(SYS_fcntl, fd, libc::F_GETFL) & c_long::from(libc::O_APPEND) != 0
}

/// libc's own `readdir64`, which reads a buffer that no system call gives alone.
pub fn next_entry(stream: *mut libc::DIR) -> *mut libc::dirent64 {
    type Readdir = unsafe extern "C" fn(*mut libc::DIR) -> *mut libc::dirent64;
    // SAFETY: the name is a C string, and libc has a function of that name and type.
    let readdir: Option<Readdir> =
        unsafe { std::mem::transmute(libc::dlsym(libc::RTLD_NEXT, c"readdir64".as_ptr())) };
    let readdir = readdir.expect("libc has it");
    // SAFETY: the caller of `readdir64` vouches for the stream.
    unsafe { readdir(stream) }
}

pub fn descriptor_of(stream: *mut libc::DIR) -> c_int {
    // SAFETY: as above.
    unsafe { libc::dirfd(stream) }
}

pub fn set_errno(errno: c_int) {
    // SAFETY: the pointer is to this thread's own errno, always valid.
    unsafe { *libc::__errno_location() = errno }
}

pub fn errno() -> c_int {
    // SAFETY: as in `set_errno`.
    unsafe { *libc::__errno_location() }
}

#[expect(clippy::cast_possible_truncation, reason = "the kernel answers an int")]
pub fn fd(answer: c_long) -> c_int {
    answer as c_int
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "isize is as wide as long on Linux"
)]
pub fn size(answer: c_long) -> isize {
    answer as isize
}
