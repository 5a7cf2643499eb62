//! The list of a Complete: how it may be written, and what it must hold.

use crate::calls::{
    MIB, assert_refused, bytes, completion, delete, etag, get, initiate, list_of, parts, put,
    put_part, server, upload,
};

const MALFORMED: (u16, &str) = (400, "MalformedXML");

#[test]
fn a_list_may_be_written_in_many_ways() {
    let server = server(&[]);
    let quoted = etag(b"part");
    let bare = quoted.trim_matches('"');
    let part = |etag: &str| format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    let root =
        |inside: &str| format!("<CompleteMultipartUpload>{inside}</CompleteMultipartUpload>");
    for list in [
        root(&part(&quoted)),
        root(&part(bare)),
        root(&part(&bare.to_uppercase())),
        root(&part(&format!("&quot;{bare}&quot;"))),
        root(&part(&format!("&#34;{bare}&#x22;"))),
        root(&part(&format!("<![CDATA[{quoted}]]>"))),
        root(&format!(
            "\n  <Part>\n <ETag> {quoted} </ETag>\n<PartNumber> 1 </PartNumber>\n</Part>\n"
        )),
        root(&format!(
            "<Part><PartNumber>1</PartNumber><ETag>{quoted}</ETag><ChecksumCRC32>x</ChecksumCRC32></Part>"
        )),
        root(&format!("<!-- a comment -->{}<?pi x?>", part(&quoted))),
        format!("<!-- a comment -->{}<!-- another -->", root(&part(&quoted))),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
            root(&part(&quoted))
        ),
        format!("\u{feff}{}", root(&part(&quoted))),
        root(&part(&quoted)).replacen(
            "Upload>",
            "Upload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
            1,
        ),
        root(&part(&quoted))
            .replace("</", "</c:")
            .replace('<', "<c:")
            .replace("<c:/c:", "</c:")
            .replacen('>', " xmlns:c=\"x\">", 1),
    ] {
        let (id, _) = upload(&server, "key");
        let answer = completion(("key", &id), &*list).send(&server);
        assert_eq!(answer.status, 200, "{list}: {}", answer.text());
        assert_eq!(get(&server, "key").ok().body, b"part");
        assert_eq!(
            answer.header("x-cos-hash-crc64ecma"),
            get(&server, "key").header("x-cos-hash-crc64ecma")
        );
    }
}

#[test]
fn what_is_no_list_is_malformed_and_the_upload_stays() {
    let server = server(&[]);
    let (id, etag) = upload(&server, "key");
    let good = list_of(&[(1, &etag)]);
    let cut = &good[..good.len() - 3];
    let number = |number: &str| good.replace(">1<", &format!(">{number}<"));
    for list in [
        "",
        " ",
        "x",
        "<",
        "<a",
        "\u{feff}",
        "{}",
        cut,
        "<CompleteMultipartUpload/>",
        "<CompleteMultipartUpload></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>",
        &good.replace("CompleteMultipartUpload", "Complete"),
        &good.replace("CompleteMultipartUpload", "InitiateMultipartUploadResult"),
        &good.replace("</Part>", "</Prat>"),
        &good.replace("</ETag>", "&unknown;</ETag>"),
        &number("<a>1</a>"),
    ] {
        assert_refused(&completion(("key", &id), list).send(&server), MALFORMED);
    }
    let invalid = [good.as_bytes(), b"\xff"].concat();
    assert_refused(&completion(("key", &id), invalid).send(&server), MALFORMED);
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_refused(&completion(("key", &id), utf16).send(&server), MALFORMED);
    for odd in ["0", "-1", "10001", "abc", "", "1.0", "18446744073709551617"] {
        let answer = completion(("key", &id), number(odd)).send(&server);
        assert_eq!(answer.status, 400, "{odd}");
    }
    assert_eq!(get(&server, "key").status, 404);
    completion(("key", &id), good).send(&server).ok();
}

#[test]
fn what_a_list_says_must_be_so() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let (first, second) = (bytes(MIB, 1), bytes(100, 2));
    put_part(&server, ("key", &id), 1, &first).ok();
    put_part(&server, ("key", &id), 2, &second).ok();
    put_part(&server, ("key", &id), 3, &second).ok();
    let (first, second) = (etag(&first), etag(&second));
    for (list, code) in [
        (list_of(&[(2, &second), (1, &first)]), "InvalidPartOrder"),
        (list_of(&[(1, &first), (1, &first)]), "InvalidPartOrder"),
        (list_of(&[(1, &first), (3, &second)]), "InvalidPart"),
        (list_of(&[(1, &second)]), "InvalidPart"),
        (
            list_of(&[(1, &first), (2, &second), (3, &second), (4, &second)]),
            "InvalidPart",
        ),
        (
            list_of(&[(1, &first), (2, &second), (3, &second)]),
            "EntityTooSmall",
        ),
    ] {
        assert_refused(&completion(("key", &id), list).send(&server), (400, code));
        assert_eq!(parts(&server, ("key", &id)).len(), 3);
    }
    let good = completion(("key", &id), list_of(&[(1, &first), (2, &second)]));
    let wrong = good
        .clone()
        .header("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==");
    assert_refused(&wrong.send(&server), (400, "BadDigest"));
    let malformed = good.clone().header("Content-MD5", "x");
    assert_refused(&malformed.send(&server), (400, "InvalidDigest"));
    let answer = good.send(&server).ok();
    // The same list again gets the same answer.
    assert_eq!(
        good.send(&server).ok().elements("ETag"),
        answer.elements("ETag")
    );
}

#[test]
fn a_completion_again_brings_no_object_back() {
    let server = server(&[]);
    let (id, etag) = upload(&server, "key");
    let request = completion(("key", &id), list_of(&[(1, &etag)]));
    request.send(&server).ok();
    put(&server, "key", b"newer").ok();
    request.send(&server);
    assert_eq!(get(&server, "key").ok().body, b"newer");
    delete(&server, "key");
    request.send(&server);
    assert_eq!(get(&server, "key").status, 404);
}

/// No client means a list that was cut, or joined to another one.
#[test]
fn what_stands_around_a_list_or_between_its_parts_is_malformed_and_the_upload_stays() {
    let server = server(&[]);
    let (id, etag) = upload(&server, "key");
    let good = list_of(&[(1, &etag)]);
    let between = |junk: &str| good.replace("<Part>", &format!("{junk}<Part>"));
    for list in [
        good.clone() + "garbage",
        good.clone() + "]]>",
        good.clone() + "&amp;",
        good.clone() + "\0",
        good.clone() + "<",
        good.clone() + "</CompleteMultipartUpload>",
        good.clone() + "<Part/>",
        good.clone() + &good,
        good.clone() + "<!DOCTYPE CompleteMultipartUpload>",
        "garbage".to_owned() + &good,
        "&amp;".to_owned() + &good,
        "<![CDATA[x]]>".to_owned() + &good,
        "<![CDATA[]]>".to_owned() + &good,
        "<Part/>".to_owned() + &good,
        "<!DOCTYPE CompleteMultipartUpload>".to_owned() + &good,
        format!("<List>{good}</List>"),
        between("garbage"),
        between("&amp;"),
        between("<![CDATA[x]]>"),
        good.replace("</Part>", "</Part>garbage"),
    ] {
        let answer = completion(("key", &id), &*list).send(&server);
        assert_eq!(answer.status, 400, "{list}: {}", answer.text());
        assert_refused(&answer, MALFORMED);
        assert_eq!(parts(&server, ("key", &id)).len(), 1, "{list}");
    }
    assert_eq!(get(&server, "key").status, 404);
    let comment = "<!-- <CompleteMultipartUpload> -->\n";
    let fine = format!(
        "\u{feff}<?xml version=\"1.0\"?>\n{comment}{}\r\n{comment}\t<?pi?>\n",
        between(comment)
    );
    completion(("key", &id), fine).send(&server).ok();
    assert_eq!(get(&server, "key").ok().body, b"part");
}
