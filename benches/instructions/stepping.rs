//! The child does each path between two stops; the parent steps it from one to the other.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use dualkey::{KeyMaterial, KeyRing, Secret};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::input::{
    APP_SECRETS, BorrowedClaims, CONTEXT, Claims, SECRETS, STRANGER, claims, kek, token,
};

#[derive(Parser)]
struct Arguments {
    /// Replaces the baseline by what is counted.
    #[arg(long)]
    write: bool,
    /// Is the one that is stepped.
    #[arg(long, hide = true)]
    child: Option<String>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Serialize, Deserialize)]
struct Baseline {
    /// Another compiler makes other instructions,
    compiler: String,
    /// and another processor takes other paths, those of its libraries included.
    processor: String,
    paths: BTreeMap<String, Count>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct Count {
    instructions: u64,
    allocations: u64,
}

/// Two of a hundred.
const TOLERANCE: f64 = 0.02;

/// Runs of a path before it is counted, so that everything that happens once has happened.
const WARM_UP_RUNS: usize = 100;

/// Counted runs, of which the least counts.
const COUNTED_RUNS: usize = 3;

pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(name) = arguments.child {
        child(&name);
        return ExitCode::SUCCESS;
    }
    let nothing = count("nothing").instructions;
    let mut counted: BTreeMap<_, _> = paths()
        .into_keys()
        .filter(|name| *name != "nothing")
        .map(|name| (name.to_owned(), count(name)))
        .collect();
    counted.values_mut().for_each(|count| count.instructions -= nothing);
    let now = Baseline { compiler: compiler(), processor: processor(), paths: counted };

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.json");
    if arguments.write {
        let text = serde_json::to_string_pretty(&now).unwrap();
        std::fs::write(&file, text + "\n").unwrap();
    }
    report(&now, &file)
}

/// Prints what was counted beside the baseline; fails where they differ and may not.
fn report(now: &Baseline, file: &Path) -> ExitCode {
    let text = std::fs::read_to_string(file).unwrap();
    let baseline: Baseline = serde_json::from_str(&text).unwrap();
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["path", "instructions", "baseline", "change", "allocations", "baseline"]);
    let mut broken = now.paths.len() != baseline.paths.len();
    for (name, count) in &now.paths {
        let Some(was) = baseline.paths.get(name) else {
            println!("{name} is not in the baseline");
            broken = true;
            continue;
        };
        let change = count.instructions as f64 / was.instructions as f64 - 1.0;
        broken |= change.abs() > TOLERANCE || count.allocations != was.allocations;
        table.add_row([
            name.clone(),
            count.instructions.to_string(),
            was.instructions.to_string(),
            format!("{:+.2} %", change * 100.0),
            count.allocations.to_string(),
            was.allocations.to_string(),
        ]);
    }
    println!("{table}");
    for (what, now, was) in [
        ("compiler", &now.compiler, &baseline.compiler),
        ("processor", &now.processor, &baseline.processor),
    ] {
        if now != was {
            println!("another {what} than the baseline's, so nothing is compared: {now}; {was}");
            return ExitCode::SUCCESS;
        }
    }
    if broken {
        println!("more than 2 % off, or another number of allocations: fix it, or `--write` it");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What instructions it has, of those that libraries choose by.
fn processor() -> String {
    let features = [
        ("sha", is_x86_feature_detected!("sha")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ("vaes", is_x86_feature_detected!("vaes")),
        ("vpclmulqdq", is_x86_feature_detected!("vpclmulqdq")),
        ("ermsb", is_x86_feature_detected!("ermsb")),
    ];
    let has: Vec<_> = features.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
    has.join(" ")
}

/// Steps a child through `name`. The instructions of the kernel's clock functions are not counted: they
/// repeat while the kernel updates the time, which happens often in a process that is stepped.
fn count(name: &str) -> Count {
    let exe = std::env::current_exe().unwrap();
    let child = Command::new(exe).args(["--child", name]).stdout(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let mut least = u64::MAX;
    assert!(wait_for_stop(pid), "{name}: the child does not stop");
    let clock_functions = clock_functions(pid);
    for _ in 0..COUNTED_RUNS {
        let mut instructions = 0;
        loop {
            let address = ptrace::getregs(pid).unwrap().rip;
            instructions += u64::from(!clock_functions.contains(&address));
            ptrace::step(pid, None).unwrap();
            if wait_for_stop(pid) {
                break;
            }
        }
        least = least.min(instructions);
    }
    ptrace::cont(pid, None).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name}");
    let allocations = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    Count { instructions: least, allocations }
}

/// Returns the addresses of the code that the kernel maps into the process, the vDSO. There are none if the
/// kernel maps no code.
fn clock_functions(pid: Pid) -> Range<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let Some(line) = maps.lines().find(|line| line.ends_with("[vdso]")) else { return 0..0 };
    let (addresses, _) = line.split_once(' ').unwrap();
    let (start, end) = addresses.split_once('-').unwrap();
    u64::from_str_radix(start, 16).unwrap()..u64::from_str_radix(end, 16).unwrap()
}

/// Whether the child has stopped itself, and not only made a step.
fn wait_for_stop(pid: Pid) -> bool {
    match waitpid(pid, None).unwrap() {
        WaitStatus::Stopped(_, Signal::SIGSTOP) => true,
        WaitStatus::Stopped(_, Signal::SIGTRAP) => false,
        other => panic!("the child did something else: {other:?}"),
    }
}

fn child(name: &str) {
    let mut path = paths().remove(name).expect("the parent names one of them")();
    for _ in 0..WARM_UP_RUNS {
        path();
    }
    println!("{}", allocation_counter::measure(&mut path).count_total);
    ptrace::traceme().expect("a process may be traced by its parent");
    raise(Signal::SIGSTOP).unwrap();
    for _ in 0..COUNTED_RUNS {
        path();
        raise(Signal::SIGSTOP).unwrap();
    }
}

type Run = Box<dyn FnMut()>;

fn ring<K: KeyMaterial>(secrets: &[&str]) -> KeyRing<K> {
    let mut builder = KeyRing::builder().primary(Secret::from(secrets[0]));
    for secret in &secrets[1..] {
        builder = builder.fallback(Secret::from(*secret));
    }
    builder.build().unwrap()
}

/// What is counted, and what makes it ready.
fn paths() -> BTreeMap<&'static str, fn() -> Run> {
    BTreeMap::from([
        ("nothing", (|| Box::new(|| ())) as fn() -> Run),
        ("jwt_verify, one key, borrowed", || {
            let (jwt, token) = (Jwt::new(ring::<JwtKey>(&SECRETS[..1])), token(SECRETS[0]));
            let mut buffer = Vec::new();
            Box::new(move || {
                let claims = jwt.verify_in::<BorrowedClaims<'_>>(&token, &mut buffer);
                let _ = black_box(claims.unwrap());
            })
        }),
        ("jwt_verify, two keys, the fallback matches", || {
            let (jwt, token) = (Jwt::new(ring::<JwtKey>(&SECRETS[..2])), token(SECRETS[1]));
            Box::new(move || {
                let _ = black_box(jwt.verify::<Claims>(&token).unwrap());
            })
        }),
        ("jwt_verify, four keys, the last matches", || {
            let (jwt, token) = (Jwt::new(ring::<JwtKey>(&SECRETS)), token(SECRETS[3]));
            Box::new(move || {
                let _ = black_box(jwt.verify::<Claims>(&token).unwrap());
            })
        }),
        ("jwt_verify, two keys, forged", || {
            let (jwt, token) = (Jwt::new(ring::<JwtKey>(&SECRETS[..2])), token(STRANGER));
            Box::new(move || assert!(black_box(jwt.verify::<Claims>(&token)).is_err()))
        }),
        ("jwt_sign", || {
            let (jwt, claims) = (Jwt::new(ring::<JwtKey>(&SECRETS[..2])), claims());
            Box::new(move || {
                black_box(jwt.sign(&claims).unwrap());
            })
        }),
        ("cookie_verify, two keys, the fallback matches", || {
            let signer = |secrets| CookieSigner::new(ring::<CookieKey>(secrets));
            let cookie = signer(&SECRETS[1..2]).sign("session", &SECRETS[2][..32]).unwrap();
            let signer = signer(&SECRETS[..2]);
            Box::new(move || {
                let _ = black_box(signer.verify("session", &cookie).unwrap());
            })
        }),
        ("webhook_verify, 4 KiB, two keys, the fallback matches", || {
            let hook = WebhookVerifier::new(ring::<WebhookKey>(&APP_SECRETS[..2]));
            let body = vec![b'x'; 4096];
            let tag = dualkey::mac::HmacSha256::new(APP_SECRETS[1].as_bytes()).mac(&body);
            let header = format!("sha256={}", hex::encode(tag));
            Box::new(move || {
                let _ = black_box(hook.verify([&header], &body).unwrap());
            })
        }),
        ("envelope_open, 1 KiB, under the fallback", || {
            let ring = KeyRing::<AesKey>::builder().primary(Secret::from(kek(1))).build().unwrap();
            let sealer = Sealer::new(ring.clone());
            let blob = sealer.seal([b'x'; 1024], CONTEXT).unwrap();
            ring.promote(&ring.stage(Secret::from(kek(0))).unwrap()).unwrap();
            Box::new(move || {
                let _ = black_box(sealer.open(&blob, CONTEXT).unwrap());
            })
        }),
    ])
}
