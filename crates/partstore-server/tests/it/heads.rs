//! Heads that are too large, too many, or not HTTP; hosts and targets of every form.

use crate::calls::{BUCKET, assert_refused, get, initiate, part_path, parts, path, put, server};
use crate::client::{Answer, Client, Request};
use crate::fixture::Server;
use crate::process_stats::peak_mib;

fn raw(server: &Server, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    let mut client = Client::connect(server);
    let _ = client.try_send(bytes);
    client.half_close();
    client.try_answer("GET").ok()
}

#[test]
fn oversized_heads_are_refused() {
    let server = server(&[]);
    let of = |request: Request| raw(&server, request.bytes()).expect("an answer").status;
    let get = |target: String| Request::new("GET", target);
    let huge = get(path("key")).header("x-cos-meta-a", "x".repeat(10 * 1024 * 1024));
    assert_eq!(of(huge), 431);
    let many = (0..10_000).fold(get(path("key")), |many, at| {
        many.header(&format!("x-{at}"), at)
    });
    assert_eq!(of(many), 431);
    let status = of(get(path(&"x".repeat(1024 * 1024))));
    assert!([400, 414, 431].contains(&status), "{status}");
    let status = of(get(path(&"x".repeat(60_000))));
    assert!([400, 414].contains(&status), "{status}");
    let status = of(Request::new(&"X".repeat(100_000), path("key")));
    assert!([400, 405].contains(&status), "{status}");
    let peak = peak_mib(&server);
    assert!(peak < 100, "{peak} MiB");
}

#[test]
fn what_is_not_http_is_refused_or_hung_up_on() {
    let server = server(&[]);
    for bytes in [
        &b"\r\n\r\n\r\n"[..],
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PUT /photos-1250000000/key HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"PUT /photos-1250000000/key HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nx",
        b"PUT /photos-1250000000/key HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let status = raw(&server, bytes).map(|answer| answer.status);
        let text = String::from_utf8_lossy(bytes);
        assert!(status.is_none_or(|status| (400..600).contains(&status)), "{text}: {status:?}");
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let mut noise = vec![0; random.usize(1..2000)];
        random.fill(&mut noise);
        assert!(raw(&server, noise).is_none_or(|answer| answer.status >= 400));
    }
    assert_eq!(get(&server, "key").status, 404);
}

#[test]
fn the_bucket_is_in_the_host_or_in_the_path() {
    let server = server(&[]);
    put(&server, "key", b"hello").ok();
    let by_host = |host: &str, target: &str| {
        let request = Request::new("GET", target).header("Host", host);
        request.send(&server)
    };
    for host in [
        "cos.ap-beijing.myqcloud.com",
        "cos.localhost:9000",
        "x",
        "x:1",
    ] {
        let host = format!("{BUCKET}.{host}");
        assert_eq!(by_host(&host, "/key").ok().body, b"hello", "{host}");
    }
    for host in [
        "127.0.0.1",
        "127.0.0.1:9000",
        "localhost",
        "localhost:9000",
        "[::1]",
        "[::1]:9000",
        "",
    ] {
        assert_eq!(by_host(host, &path("key")).ok().body, b"hello", "{host}");
    }
    let upper = format!("{}.LOCALHOST", BUCKET.to_uppercase());
    assert_eq!(by_host(&upper, "/key").ok().body, b"hello");
    for host in [".localhost", "a_b.localhost", ".."] {
        assert_refused(&by_host(host, "/key"), (400, "InvalidBucketName"));
    }
    for host in ["a/b.localhost", "a@b.localhost", "a b"] {
        assert_refused(&by_host(host, "/key"), (400, "InvalidArgument"));
    }
    assert_refused(&by_host("other.localhost", "/key"), (404, "NoSuchBucket"));
    let mut client = Client::connect(&server);
    client.send("GET /key HTTP/1.1\r\n\r\n");
    assert_refused(&client.answer(), (400, "InvalidArgument"));
    let twice = Request::new("GET", path("key"))
        .header("Host", "a")
        .header("Host", "b");
    assert_refused(&twice.send(&server), (400, "InvalidArgument"));
}

#[test]
fn an_absolute_target_names_its_own_host() {
    let server = server(&[]);
    put(&server, "key", b"hello").ok();
    for target in [
        format!("http://{BUCKET}.cos.ap-beijing.myqcloud.com/key"),
        format!(
            "http://{}.COS.ap-beijing.myqcloud.com:80/key",
            BUCKET.to_uppercase()
        ),
        format!("http://127.0.0.1:9000{}", path("key")),
        format!("http://[::1]:9000{}", path("key")),
    ] {
        let request = Request::new("GET", target).header("Host", "other.localhost");
        assert_eq!(request.send(&server).ok().body, b"hello");
    }
}

#[test]
fn what_is_given_twice_is_not_guessed_at() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    for twice in [
        part_path("key", &id, 1) + "&partNumber=2",
        part_path("key", &id, 1) + "&partNumber=1",
        part_path("key", &id, 1) + "&uploadId=x",
        part_path("key", &id, 1) + "&partnumber=2",
        part_path("key", &id, 1) + "&part%4eumber=2",
    ] {
        let request = Request::new("PUT", twice).body("hello");
        assert_refused(&request.send(&server), (400, "InvalidArgument"));
    }
    let md5 = "XUFAKrxLKna5cZ2REBfFkg==";
    let part = || {
        Request::new("PUT", part_path("key", &id, 1))
            .body("hello")
            .header("Content-MD5", md5)
    };
    let twice = part().header("Content-MD5", md5);
    assert_refused(&twice.send(&server), (400, "InvalidArgument"));
    assert_eq!(parts(&server, ("key", &id)), []);
    part().send(&server).ok();
}

#[test]
fn a_parameter_may_be_encoded_and_a_plus_is_a_space() {
    let server = server(&[]);
    for key in ["a%20b", "a%2Bb"] {
        put(&server, key, b"").ok();
    }
    let listed = |prefix: &str| {
        let list = Request::new("GET", format!("/{BUCKET}?pref%69x={prefix}"));
        list.send(&server).ok().elements("Key")
    };
    assert_eq!(listed("a+b"), ["a b"]);
    assert_eq!(listed("a%20b"), ["a b"]);
    assert_eq!(listed("a%2Bb"), ["a+b"]);
    // In a path it is itself.
    assert_eq!(get(&server, "a+b").ok().body, b"");
}
