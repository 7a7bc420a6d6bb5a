//! Things that are no file, in the place of one.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// What is found in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Pipe,
    Folder,
    Socket,
    /// A link to `/dev/zero`, which never ends.
    Device,
    /// A sparse file of a tebibyte.
    Huge,
}

pub const ALL: [Found; 5] = [Found::Pipe, Found::Folder, Found::Socket, Found::Device, Found::Huge];

impl Found {
    /// What an error says of it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pipe => "it is a pipe, not a file",
            Self::Folder => "it is a folder, not a file",
            Self::Socket => "it is a socket, not a file",
            Self::Device => "it is a device, not a file",
            Self::Huge => "it has more than ",
        }
    }

    /// Puts it at `path`, in the place of what is there.
    pub fn put(self, path: &Path) {
        remove(path);
        match self {
            Self::Pipe => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
            Self::Folder => fs::create_dir(path).unwrap(),
            // It stays when its listener is gone.
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::Device => symlink("/dev/zero", path).unwrap(),
            Self::Huge => {
                let file = File::create(path).unwrap();
                file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
                file.set_len(1 << 40).unwrap();
            }
        }
    }
}

/// Removes what a test put at `path`, if anything.
pub fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// What a command prints, which must end: one that hangs is killed, and fails the test.
pub fn output(what: &str, mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    let (done, result) = channel();
    std::thread::spawn(move || {
        // Nobody listens any more once the test has failed.
        let _ = done.send(child.wait_with_output());
    });
    let result = result.recv_timeout(Duration::from_secs(60));
    let result = result.unwrap_or_else(|_| {
        let _ = Command::new("kill").arg(id).status();
        panic!("{what} does not return")
    });
    result.unwrap()
}
