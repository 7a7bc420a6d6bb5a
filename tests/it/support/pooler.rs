//! A PgBouncer of a test's own: the program that `DUALKEY_TEST_PGBOUNCER` names, in front of a
//! [`Cluster`](crate::support::cluster::Cluster) or of any other server.

use std::fmt::Write;
use std::fs::{File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::postgres::variable;

/// Settings of a [`Pooler`] that does not run yet.
///
/// Unless set: `pool_mode = transaction`, two server connections, passwords by SCRAM, and every
/// database and role of the server's URL.
pub struct Settings {
    server: Login,
    users: Vec<(String, String)>,
    lines: Vec<String>,
}

/// The parts of a URL `postgres://role:password@host:port/database`.
struct Login {
    role: String,
    password: String,
    host: String,
    port: u16,
    database: String,
}

impl Login {
    fn of(url: &str) -> Self {
        let rest = url.split_once("://").unwrap().1;
        let (login, place) = rest.rsplit_once('@').unwrap();
        let (role, password) = login.split_once(':').unwrap();
        let (address, database) = place.split_once('/').unwrap();
        let (host, port) = address.rsplit_once(':').unwrap();
        let database = database.split('?').next().unwrap();
        Self {
            role: role.to_owned(),
            password: password.to_owned(),
            host: host.to_owned(),
            port: port.parse().unwrap(),
            database: database.to_owned(),
        }
    }
}

impl Settings {
    /// Admits a further role with this password, which the server must accept as well.
    pub fn user(mut self, role: &str, password: &str) -> Self {
        self.users.push((role.to_owned(), password.to_owned()));
        self
    }

    /// `session`, `transaction` or `statement`.
    pub fn mode(self, mode: &str) -> Self {
        self.line(&format!("pool_mode = {mode}"))
    }

    /// The server connections of each database and role.
    pub fn size(self, connections: u32) -> Self {
        self.line(&format!("default_pool_size = {connections}"))
    }

    /// Adds a line to the section `[pgbouncer]`. The last line of a name counts.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Starts it. `None`, and a note, where `DUALKEY_TEST_PGBOUNCER` is not set.
    pub fn start(self) -> Option<Pooler> {
        let program = variable("DUALKEY_TEST_PGBOUNCER")?;
        let folder = tempfile::tempdir().unwrap();
        // It refuses to run as root.
        let owner = rustix::process::geteuid().is_root().then(|| {
            let user = nix::unistd::User::from_name("postgres").unwrap();
            user.map_or((65_534, 65_534), |user| (user.uid.as_raw(), user.gid.as_raw()))
        });
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut pooler = Pooler {
            folder,
            program,
            owner,
            port,
            server: self.server,
            users: self.users,
            child: None,
        };
        pooler.write_users();
        pooler.write_settings(&self.lines);
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(pooler.folder.path(), Some(uid), Some(gid)).unwrap();
        }
        pooler.restart();
        Some(pooler)
    }
}

/// A PgBouncer that runs, and is stopped when this is dropped.
pub struct Pooler {
    folder: tempfile::TempDir,
    program: String,
    owner: Option<(u32, u32)>,
    port: u16,
    server: Login,
    users: Vec<(String, String)>,
    child: Option<Child>,
}

impl Pooler {
    /// Settings of one in front of the server of `url`, which names a role, a password and a port.
    pub fn of(url: &str) -> Settings {
        Settings { server: Login::of(url), users: Vec::new(), lines: Vec::new() }
    }

    /// The URL that leads to the same database as the server's own, through the pooler.
    pub fn url(&self) -> String {
        self.url_of(&self.server.role, &self.server.password)
    }

    pub fn url_of(&self, role: &str, password: &str) -> String {
        self.url_to(role, password, &self.server.database)
    }

    pub fn url_to(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Replaces the password of a role, and has the pooler read it.
    pub fn set_password(&mut self, role: &str, password: &str) {
        if self.server.role == role {
            password.clone_into(&mut self.server.password);
        }
        self.users.retain(|(user, _)| user != role);
        self.users.push((role.to_owned(), password.to_owned()));
        self.write_users();
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGHUP).unwrap();
    }

    /// Starts it, after it was stopped.
    pub fn restart(&mut self) {
        let log = || File::options().create(true).append(true).open(self.file("log")).unwrap();
        let mut command = Command::new(&self.program);
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        let child = command
            .arg(self.file("pgbouncer.ini"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Adds a line to its settings, and starts it again.
    pub fn restart_with(&mut self, line: &str) {
        self.stop();
        let path = self.file("pgbouncer.ini");
        let text = std::fs::read_to_string(&path).unwrap();
        self.write("pgbouncer.ini", &format!("{text}{line}\n"));
        self.restart();
    }

    /// Stops it at once: every connection through it is cut.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write_users(&self) {
        let mut text = String::new();
        let login = (self.server.role.clone(), self.server.password.clone());
        for (role, password) in self.users.iter().chain([&login]) {
            writeln!(text, "\"{role}\" \"{password}\"").unwrap();
        }
        self.write("userlist.txt", &text);
    }

    fn write_settings(&self, lines: &[String]) {
        let (host, port) = (&self.server.host, self.server.port);
        let mut text = format!(
            "[databases]\n* = host={host} port={port}\n\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = userlist.txt\n\
             pool_mode = transaction\ndefault_pool_size = 2\n\
             server_login_retry = 1\n",
            self.port
        );
        for line in lines {
            writeln!(text, "{line}").unwrap();
        }
        self.write("pgbouncer.ini", &text);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
        std::fs::set_permissions(self.file(name), Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::chown(self.file(name), Some(uid), Some(gid)).unwrap();
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.stop();
    }
}
