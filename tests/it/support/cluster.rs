//! A PostgreSQL server of a test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Of its superuser, `test`.
const PASSWORD: &str = "pG7vQ2mXw9LrT4nZ8yB1";

/// A cluster of its own, which can be stopped, and asks for passwords by SCRAM.
pub struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    owner: Option<(u32, u32)>,
}

impl Cluster {
    /// Makes one with the programs in this folder, and starts it.
    pub fn start(programs: &str) -> Self {
        let cluster = Self::prepare(programs.into());
        let (data, password) = (cluster.data(), cluster.write("password", PASSWORD.as_bytes()));
        let pwfile = format!("--pwfile={}", password.display());
        cluster.run("initdb", &["-A", "scram-sha-256", &pwfile, "-U", "test", "-D", &data]);
        cluster.restart();
        cluster
    }

    /// A second server that copies what this one writes, and takes no writes itself.
    pub fn standby(&self) -> Self {
        let standby = Self::prepare(self.programs.clone());
        let (url, data) = (self.url(), standby.data());
        standby.run("pg_basebackup", &["-d", &url, "-D", &data, "-R", "-c", "fast"]);
        standby.restart();
        standby
    }

    fn prepare(programs: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server refuses to run as root.
        let owner = rustix::process::geteuid().is_root().then(|| {
            let user = nix::unistd::User::from_name("postgres").unwrap();
            user.map_or((65_534, 65_534), |user| (user.uid.as_raw(), user.gid.as_raw()))
        });
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        // Free a moment ago: the server itself cannot take port 0.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, programs, port, owner }
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    pub fn url(&self) -> String {
        self.url_of("test", PASSWORD)
    }

    pub fn url_of(&self, role: &str, password: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// The port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket, its log and its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of its own beside its data, which others may not read.
    pub fn write(&self, name: &str, text: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
        }
        path
    }

    /// Adds settings to its configuration: they hold from the next start.
    pub fn configure(&self, lines: &str) {
        let path = self.folder.path().join("data/postgresql.auto.conf");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        self.write("data/postgresql.auto.conf", format!("{before}{lines}\n").as_bytes());
    }

    /// Starts it, after it was stopped.
    pub fn restart(&self) {
        self.start_with("", &[]);
    }

    /// Stops it, and starts it with messages in this language, as in `de`.
    pub fn restart_in(&self, language: &str) {
        self.stop();
        // With any locale but C, gettext asks this variable for the language.
        self.start_with("-c lc_messages=C.UTF-8", &[("LANGUAGE", language)]);
    }

    fn start_with(&self, more: &str, variables: &[(&str, &str)]) {
        let folder = self.folder.path().display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c fsync=off -c unix_socket_directories={folder} \
             {more}",
            self.port
        );
        self.run_with(
            "pg_ctl",
            &["-D", &self.data(), "-w", "-l", &format!("{folder}/log"), "-o", &options, "start"],
            variables,
        );
    }

    /// Replaces `pg_hba.conf`, and has the server read it.
    pub fn set_hba(&self, lines: &str) {
        // Written in place: it keeps its owner.
        std::fs::write(Path::new(&self.data()).join("pg_hba.conf"), lines).unwrap();
        self.run("pg_ctl", &["-D", &self.data(), "reload"]);
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn stop(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-w", "-m", "immediate", "stop"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        self.run_with(program, arguments, &[]);
    }

    fn run_with(&self, program: &str, arguments: &[&str], variables: &[(&str, &str)]) {
        let mut command = Command::new(Path::new(&self.programs).join(program));
        if let Some((uid, gid)) = self.owner {
            std::os::unix::process::CommandExt::uid(&mut command, uid);
            std::os::unix::process::CommandExt::gid(&mut command, gid);
        }
        let status = command
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(self.folder.path())
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut command = Command::new(self.programs.join("pg_ctl"));
        if let Some((uid, gid)) = self.owner {
            std::os::unix::process::CommandExt::uid(&mut command, uid);
            std::os::unix::process::CommandExt::gid(&mut command, gid);
        }
        // It may have been stopped already.
        let _ = command
            .args(["-D", &self.data(), "-m", "immediate", "stop"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .current_dir("/")
            .status();
    }
}
