//! Thousands of requests at once while keys rotate: no wrong verdict, and nothing is left over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use dualkey::mac::HmacSha256;
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use dualkey::{KeyMaterial, KeyRing, Secret};
use reqwest::Client;
use tokio::io::AsyncWriteExt;

use super::site::Site;
use crate::support::secret;

/// How many requests are under way at one time, and how many there are for each.
fn size() -> (usize, usize) {
    match std::env::var_os("DUALKEY_TEST_FULL") {
        Some(_) => (2000, 200),
        None => (1000, 12),
    }
}

/// Stages and promotes a key, and has the oldest end so that there is room for the next.
fn turn<K: KeyMaterial>(ring: &KeyRing<K>, seed: u64) {
    let kid = ring.stage(Secret::from(secret(seed))).unwrap();
    ring.promote(&kid).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_verdict_is_wrong_while_keys_rotate_under_thousands_of_requests() {
    let site = Arc::new(Site::new());
    let url = format!("http://{}", site.start().await);
    let clients = [Client::new(), Client::builder().http2_prior_knowledge().build().unwrap()];
    let (at_once, each) = size();
    let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    // What was signed before the first rotation is valid to the end; the cap is four keys.
    let token = site.jwt.sign(&super::claims()).unwrap();
    let cookie = site.session.issue("user-42").unwrap();
    let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();

    let mut tasks = Vec::new();
    for turn in 0..at_once {
        // With HTTP/1.1 each has a connection, of which a process may have a thousand at most.
        let client = clients[usize::from(turn >= 100)].clone();
        let (url, sent) = (url.clone(), Arc::clone(&sent));
        let (token, cookie) = (token.clone(), cookie.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..each {
                let is_bad = (turn + round) % 5 == 0;
                let cut = usize::from(is_bad);
                let request = match (turn + round) % 4 {
                    0 => client.get(format!("{url}/layer/bearer")).bearer_auth(&token[cut..]),
                    1 => client.get(format!("{url}/extract/jwt")).bearer_auth(&token[cut..]),
                    2 => {
                        let value = format!("sid={}", &cookie[4 + cut..]);
                        client.get(format!("{url}/layer/session")).header("cookie", value)
                    }
                    _ => {
                        let tag =
                            HmacSha256::new(secret(u64::from(is_bad) * 9).as_bytes()).mac(b"e");
                        let tag = format!("sha256={}", hex::encode(tag));
                        client
                            .post(format!("{url}/layer/webhook"))
                            .header(WebhookVerifier::HEADER, tag)
                            .body("e")
                    }
                };
                let status = request.send().await.unwrap().status().as_u16();
                assert_eq!(status, if is_bad { 401 } else { 200 });
                sent.fetch_add(1, Relaxed);
            }
        }));
    }
    let rotations = {
        let (site, stop) = (Arc::clone(&site), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || {
            // Three more keys fit beside the first; then to and fro between them.
            for seed in 101..=103 {
                turn(site.jwt.ring(), seed);
                turn(site.session.signer().ring(), seed);
                turn::<WebhookKey>(site.hook.ring(), seed);
            }
            let mut rotations = 3_u64;
            while !stop.load(Relaxed) {
                site.jwt.ring().rollback().unwrap();
                site.session.signer().ring().rollback().unwrap();
                site.hook.ring().rollback().unwrap();
                rotations += 1;
                std::thread::yield_now();
            }
            rotations
        })
    };
    for task in tasks {
        task.await.unwrap();
    }
    stop.store(true, Relaxed);
    let rotations = rotations.await.unwrap();
    let sent = sent.load(Relaxed);
    assert_eq!(sent, (at_once * each) as u64);
    assert!(rotations > 3);
    println!("{sent} requests, {at_once} at once, during {rotations} rotations: no wrong verdict");
}

/// The memory of this process that is in use, in bytes, as the system counts it.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// In a process of its own, so that other tests do not count.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_the_same_after_ten_times_as_many_requests() {
    const CHILD: &str = "DUALKEY_TEST_MEMORY_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "http::load::memory_is_the_same_after_ten_times_as_many_requests"])
            .arg("--nocapture")
            .env(CHILD, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let line = text.lines().find(|line| line.contains("MiB after")).unwrap();
        return println!("{line}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let site = Site::new();
        let url = format!("http://{}", site.start().await);
        let client = Client::new();
        let token = site.jwt.sign(&super::claims()).unwrap();
        let cookie = site.session.issue("user-42").unwrap();
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let body = vec![b'x'; 60_000];
        let tag = super::webhook::signature(0, &body);
        // Keys rotate during the load, and some clients hang up with half a body sent.
        turn(site.jwt.ring(), 101);
        turn(site.session.signer().ring(), 101);
        let address = url.strip_prefix("http://").unwrap();
        let half = format!(
            "POST /layer/webhook HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: {tag}\r\n\
             Content-Length: 60000\r\n\r\n"
        );
        let round = async |count: usize| {
            for turn in 0..count {
                if turn % 10 == 0 {
                    site.jwt.ring().rollback().unwrap();
                    site.session.signer().ring().rollback().unwrap();
                    let mut gone = tokio::net::TcpStream::connect(address).await.unwrap();
                    gone.write_all(half.as_bytes()).await.unwrap();
                    gone.write_all(&body[..30_000]).await.unwrap();
                }
                let send = [
                    client.get(format!("{url}/layer/bearer")).bearer_auth(&token),
                    client.get(format!("{url}/layer/bearer")).bearer_auth("x"),
                    client.get(format!("{url}/layer/session")).header("cookie", &cookie),
                    client.get(format!("{url}/extract/cookie")).header("cookie", "sid=x"),
                    client
                        .post(format!("{url}/layer/webhook"))
                        .header(WebhookVerifier::HEADER, &tag)
                        .body(body.clone()),
                    client
                        .post(format!("{url}/extract/webhook"))
                        .header(WebhookVerifier::HEADER, &tag)
                        .body(body[1..].to_vec()),
                ];
                for request in send {
                    request.send().await.unwrap().bytes().await.unwrap();
                }
            }
        };
        round(100).await;
        let before = resident();
        round(1000).await;
        let after = resident();
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!("{:.1} MiB after 600 requests, {:.1} MiB after 6,600", mib(before), mib(after));
        // A leak of a tenth of the bodies alone would be 12 MiB.
        assert!(after < before + (4 << 20), "{before} {after}");
    });
}
