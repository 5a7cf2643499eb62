//! [`Cursor`] reads integers and bytes. [`len_u16`] and [`len_u32`] turn lengths into what is written.

/// The unread rest of some bytes. Each method takes bytes from the front, or returns `None` and takes
/// nothing.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// A length as it is written.
///
/// # Panics
/// Above 65,535 bytes, because nothing is written that cannot be read back.
pub(crate) fn len_u16(len: usize) -> [u8; 2] {
    let len = u16::try_from(len);
    assert!(len.is_ok(), "a length over 64 KiB");
    len.unwrap_or_default().to_be_bytes()
}

/// A length as it is written.
///
/// # Panics
/// Above 4,294,967,295 bytes.
pub(crate) fn len_u32(len: usize) -> [u8; 4] {
    let len = u32::try_from(len);
    assert!(len.is_ok(), "a length over 4 GiB");
    len.unwrap_or_default().to_be_bytes()
}
