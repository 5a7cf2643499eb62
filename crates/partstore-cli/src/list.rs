//! `ls`: listings of any length, of which one page at a time is in memory. A page comes from the store, or from the server
//! that has it open.

use partstore::{Key, KeyEntry, ListNamespaces, Namespace, PartStore};
use partstore_reports::{Listing, Of, Page};
use serde_json::Value;

use crate::args::{self, Keys};
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::output::{Output, line, name};
use crate::overview;
use crate::server::Server;

pub fn run(store: &PartStore, what: Option<&args::Listing>, out: &mut Output) -> Done {
    each_page(listing(what), &mut |listing| Ok(listing.page(store)?), out)
}

/// Asks a running server.
pub fn ask(address: &str, what: Option<&args::Listing>, out: &mut Output) -> Done {
    let server = Server::at(address);
    each_page(listing(what), &mut |listing| server.list(listing), out)
}

/// What the command line asks for.
fn listing(what: Option<&args::Listing>) -> Listing {
    match what {
        None | Some(args::Listing::Namespaces) => Listing::new(Of::Namespaces),
        Some(args::Listing::Keys(keys)) => of_keys(Of::Keys, keys),
        Some(args::Listing::Uploads(keys)) => of_keys(Of::Uploads, keys),
        Some(args::Listing::Parts { object, id }) => {
            let key = object.key();
            Listing {
                namespace: key.namespace().to_owned(),
                key: key.as_str().to_owned(),
                id: id.clone(),
                ..Listing::new(Of::Parts)
            }
        }
        Some(args::Listing::Objects) => Listing::new(Of::Objects),
    }
}

fn of_keys(of: Of, keys: &Keys) -> Listing {
    Listing {
        namespace: keys.namespace.clone(),
        prefix: keys.prefix.clone(),
        delimiter: keys.delimiter.clone(),
        ..Listing::new(of)
    }
}

fn each_page(
    mut listing: Listing,
    fetch: &mut dyn FnMut(&Listing) -> Done<Page>,
    out: &mut Output,
) -> Done {
    loop {
        interrupt::check()?;
        let page = fetch(&listing)?;
        for row in &page.rows {
            out.row(|| row.clone(), || as_text(listing.of, row))?;
        }
        match page.next {
            None => return Ok(()),
            next => listing.after = next,
        }
    }
}

/// Each namespace by name, after the default one.
pub fn each_namespace(store: &PartStore, each: &mut dyn FnMut(Namespace) -> Done) -> Done {
    each(store.namespace("")?)?;
    let mut query = ListNamespaces::new();
    loop {
        interrupt::check()?;
        let page = store.list_namespaces(&query)?;
        page.namespaces.into_iter().try_for_each(&mut *each)?;
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(()),
        }
    }
}

/// Each key of a namespace that begins with a prefix.
pub fn each_key(
    store: &PartStore,
    namespace: &str,
    prefix: &str,
    each: &mut dyn FnMut(KeyEntry) -> Done,
) -> Done {
    store.keys((namespace, prefix)).try_for_each(|entry| {
        interrupt::check()?;
        each(entry?)
    })
}

fn as_text(of: Of, row: &Value) -> String {
    let text = |field: &str| row[field].as_str().unwrap_or_default();
    let size = || row["size"].as_u64().unwrap_or_default();
    match of {
        Of::Keys | Of::Uploads if row["prefix"].is_string() => {
            format!(
                "{:>14}  {:20}  {:32}  {}",
                "-",
                "",
                "",
                line(text("prefix"))
            )
        }
        Of::Namespaces => overview::describe_json(row),
        Of::Keys => {
            let (size, modified, etag) = (size(), text("modified_at"), text("etag"));
            format!("{size:>14}  {modified}  {etag:32}  {}", line(text("key")))
        }
        Of::Uploads => {
            let (initiated, id) = (text("initiated_at"), text("id"));
            format!("{initiated}  {id}  {}", line(text("key")))
        }
        Of::Parts => {
            let (number, size) = (row["part"].as_u64().unwrap_or_default(), size());
            let (stored, etag, hash) = (text("stored_at"), text("etag"), text("hash"));
            format!("{number:>5}  {size:>12}  {stored}  {etag}  {hash}")
        }
        Of::Objects => {
            let (size, modified, id) = (size(), text("modified_at"), text("id"));
            let name = name(&Key::new(text("namespace"), text("key")));
            format!("{size:>14}  {modified}  {id}  {name}")
        }
    }
}

/// Refuses a hash that cannot be one.
pub fn parse_hash(text: &str) -> Done<partstore::ContentHash> {
    partstore_reports::parse_hash(text).ok_or_else(|| {
        Failure::Usage(format!(
            "{text:?} is no BLAKE3 hash: it has 64 hex digits, as `partstore ls parts` shows them"
        ))
    })
}
