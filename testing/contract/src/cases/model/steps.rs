//! The calls that a case is made of.

use proptest::prelude::*;

/// Keys of which some are prefixes of others, or begin with the same delimited text.
pub const KEYS: [&str; 8] = [
    "a",
    "a/b",
    "a/b/c",
    "a/c",
    "a0",
    "b/ü",
    "b/ü/x",
    "\u{10ffff}/z",
];
pub const PREFIXES: [&str; 6] = ["", "a", "a/", "a/b", "b/", "nothing"];
pub const DELIMITERS: [&str; 4] = ["", "/", "ü/", "b"];
pub const METADATA: [usize; 5] = [0, 1, 2999, 3001, 8192];
/// Sizes of the bodies. Few, so that equal bytes are put often; some cross a block's edge.
pub const BODIES: [usize; 9] = [
    0,
    1,
    5,
    1000,
    1000,
    256 * 1024 - 1,
    256 * 1024,
    256 * 1024 + 1,
    600_000,
];

/// An upload by its place among all that were ever initiated.
#[derive(Clone, Debug)]
pub struct Who {
    pub slot: usize,
    pub key: WhichKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichKey {
    Own,
    Another,
}

/// How a part's body is handed over, and what is declared about it.
#[derive(Clone, Debug)]
pub enum How {
    Memory,
    Declared,
    WrongMd5,
    WrongCrc,
    WrongLength(i8),
    Writer { splits: Vec<usize> },
    WriterWrongMd5,
    WriterCutShort,
    Dropped,
    Reader,
    FailingReader,
}

/// What becomes of a part before it is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Stays,
    /// Its upload or object goes, and the sweep comes.
    Goes,
}

/// The list of a completion.
#[derive(Clone, Debug)]
pub enum List {
    All,
    Subset(u8),
    WrongETag(usize),
    Reversed,
    Doubled,
    WithMissing,
    Empty,
    /// The one that completed it before.
    Again,
}

#[derive(Clone, Copy, Debug)]
pub enum Reopen {
    Clean,
    WithoutIndex,
    Killed,
    KilledWithoutIndex,
}

#[derive(Clone, Debug)]
pub enum Step {
    Initiate {
        key: usize,
        metadata: usize,
    },
    InitiateRefused,
    Put {
        who: Who,
        number: u32,
        body: usize,
        how: How,
    },
    /// A part, of an open upload or of an object, is put under another number by its reader.
    Copy {
        from: Who,
        part: u32,
        who: Who,
        number: u32,
        source: Source,
    },
    /// The upload is aborted while a body is received.
    AbortDuringPut {
        who: Who,
        number: u32,
        body: usize,
    },
    /// A part is replaced and swept while somebody reads it.
    ReplaceUnderReader {
        who: Who,
        number: u32,
        body: usize,
    },
    RemoveUnderReader {
        who: Who,
    },
    ListParts {
        who: Who,
        after: u32,
        limit: u32,
    },
    ListUploads {
        prefix: usize,
        delimiter: usize,
        limit: u32,
    },
    ListUploadsAfter {
        key: usize,
        slot: usize,
        limit: u32,
    },
    ListObjects {
        slot: usize,
        limit: u32,
    },
    Look {
        who: Who,
    },
    Complete {
        who: Who,
        list: List,
        replaced: Option<Who>,
    },
    Abort {
        who: Who,
    },
    RemoveObject {
        who: Who,
    },
    ReadPart {
        who: Who,
        number: u32,
        from: u64,
        len: usize,
    },
    ReadObject {
        who: Who,
        from: u64,
        len: usize,
    },
    ExpireAll,
    ExpireOld,
    Sweep,
    Maintain,
    Verify,
    Stats,
    Reopen(Reopen),
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Without uploads most calls only answer that there is none.
    let first = initiate();
    (first, prop::collection::vec(step(), 1..40))
        .prop_map(|(first, rest)| std::iter::once(first).chain(rest).collect())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => initiate(),
        30 => put(),
        6 => copy(),
        24 => on_upload(),
        10 => listing(),
        8 => reading(),
        10 => upkeep(),
        6 => reopen().prop_map(Step::Reopen),
    ]
}

fn initiate() -> impl Strategy<Value = Step> {
    (0..KEYS.len(), 0..METADATA.len()).prop_map(|(key, metadata)| Step::Initiate { key, metadata })
}

fn who() -> impl Strategy<Value = Who> {
    let key = prop_oneof![15 => Just(WhichKey::Own), 1 => Just(WhichKey::Another)];
    (0..6usize, key).prop_map(|(slot, key)| Who { slot, key })
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![12 => 1..5u32, 1 => Just(10_000)]
}

fn body() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..5usize, 1 => 5..BODIES.len()]
}

fn put() -> impl Strategy<Value = Step> {
    (who(), number(), body(), how()).prop_map(|(who, number, body, how)| Step::Put {
        who,
        number,
        body,
        how,
    })
}

fn copy() -> impl Strategy<Value = Step> {
    let source = prop_oneof![3 => Just(Source::Stays), 1 => Just(Source::Goes)];
    (who(), number(), who(), number(), source).prop_map(|(from, part, who, number, source)| {
        Step::Copy {
            from,
            part,
            who,
            number,
            source,
        }
    })
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        8 => Just(How::Memory),
        3 => Just(How::Declared),
        1 => Just(How::WrongMd5),
        1 => Just(How::WrongCrc),
        1 => prop_oneof![Just(-1i8), Just(1)].prop_map(How::WrongLength),
        5 => prop::collection::vec(0..300_000usize, 0..5)
            .prop_map(|splits| How::Writer { splits }),
        1 => Just(How::WriterWrongMd5),
        1 => Just(How::WriterCutShort),
        1 => Just(How::Dropped),
        2 => Just(How::Reader),
        1 => Just(How::FailingReader),
    ]
}

fn on_upload() -> impl Strategy<Value = Step> {
    let put = || (who(), number(), body());
    prop_oneof![
        10 => (who(), list(), prop::option::of(who()))
            .prop_map(|(who, list, replaced)| Step::Complete { who, list, replaced }),
        2 => who().prop_map(|who| Step::Abort { who }),
        2 => who().prop_map(|who| Step::RemoveObject { who }),
        3 => who().prop_map(|who| Step::Look { who }),
        1 => put().prop_map(|(who, number, body)| Step::AbortDuringPut { who, number, body }),
        1 => put().prop_map(|(who, number, body)| Step::ReplaceUnderReader { who, number, body }),
        1 => who().prop_map(|who| Step::RemoveUnderReader { who }),
    ]
}

fn list() -> impl Strategy<Value = List> {
    prop_oneof![
        4 => Just(List::All),
        3 => any::<u8>().prop_map(List::Subset),
        1 => (0..4usize).prop_map(List::WrongETag),
        1 => Just(List::Reversed),
        1 => Just(List::Doubled),
        1 => Just(List::WithMissing),
        1 => Just(List::Empty),
        3 => Just(List::Again),
    ]
}

fn listing() -> impl Strategy<Value = Step> {
    let limit = || prop_oneof![8 => 1..4u32, 2 => Just(1000u32), 1 => Just(0), 1 => Just(1001)];
    prop_oneof![
        (who(), 0..6u32, limit()).prop_map(|(who, after, limit)| Step::ListParts {
            who,
            after,
            limit
        }),
        (0..PREFIXES.len(), 0..DELIMITERS.len(), limit()).prop_map(|(prefix, delimiter, limit)| {
            Step::ListUploads {
                prefix,
                delimiter,
                limit,
            }
        }),
        (0..KEYS.len(), 0..6usize, limit()).prop_map(|(key, slot, limit)| Step::ListUploadsAfter {
            key,
            slot,
            limit
        }),
        (0..8usize, limit()).prop_map(|(slot, limit)| Step::ListObjects { slot, limit }),
    ]
}

fn reading() -> impl Strategy<Value = Step> {
    let range = || {
        (
            prop_oneof![0..10u64, 0..700_000u64],
            prop_oneof![0..9usize, 0..700_000usize],
        )
    };
    prop_oneof![
        (who(), number(), range()).prop_map(|(who, number, (from, len))| Step::ReadPart {
            who,
            number,
            from,
            len
        }),
        (who(), range()).prop_map(|(who, (from, len))| Step::ReadObject { who, from, len }),
    ]
}

fn upkeep() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::ExpireAll),
        1 => Just(Step::ExpireOld),
        1 => Just(Step::InitiateRefused),
        3 => Just(Step::Sweep),
        6 => Just(Step::Maintain),
        1 => Just(Step::Verify),
        2 => Just(Step::Stats),
    ]
}

fn reopen() -> impl Strategy<Value = Reopen> {
    prop_oneof![
        Just(Reopen::Clean),
        Just(Reopen::WithoutIndex),
        Just(Reopen::Killed),
        Just(Reopen::KilledWithoutIndex),
    ]
}
