//! Builds the library once for each planted fault, and explores it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::explorer::faults::{FAULTS, Fault};

/// A fault, and the result of the exploration with it.
pub struct PlantedFault {
    pub fault: &'static Fault,
    /// The reported line about the property of the fault, or the first line.
    pub reported: String,
    pub is_found: bool,
    /// True if the fleets of the tests find it as well.
    pub is_found_by_tests: bool,
}

/// Plants each fault whose name contains `part`, one after the other.
///
/// # Errors
/// An error of the file system.
pub fn plant_all(part: &str) -> io::Result<Vec<PlantedFault>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let copy = std::env::temp_dir().join(format!("dualkey-faults-{}", std::process::id()));
    let chosen = FAULTS.iter().filter(|fault| fault.name.contains(part));
    let planted = chosen.map(|fault| {
        let planted = plant(fault, &root, &copy)?;
        let by = if planted.is_found_by_tests { " (by the tests, too)" } else { "" };
        println!("{}: {}{by}", fault.name, planted.reported);
        Ok(planted)
    });
    let planted = planted.collect();
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    planted
}

fn plant(fault: &'static Fault, root: &Path, copy: &Path) -> io::Result<PlantedFault> {
    for folder in ["src", "tests/explore/src"] {
        copy_folder(&root.join(folder), &copy.join(folder))?;
    }
    for file in ["Cargo.toml", "README.md", "tests/explore/Cargo.toml", "tests/explore/Cargo.lock"]
    {
        copy_file(&root.join(file), &copy.join(file))?;
    }
    // Cargo also needs the files of targets that it does not build.
    for folder in ["benches", "tests/it", "tests/wiped", "tests/timing", "examples"] {
        copy_folder(&root.join(folder), &copy.join(folder))?;
    }
    let path = copy.join(fault.file);
    let text = fs::read_to_string(&path)?;
    if text.matches(fault.find).count() != 1 {
        let details =
            format!("the text of the fault `{}` is not exactly once in {}", fault.name, fault.file);
        return Err(io::Error::other(details));
    }
    fs::write(&path, text.replace(fault.find, fault.replace))?;
    let (reported, is_found) = explore(fault, root, copy, "--small")?;
    let (_, is_found_by_tests) = explore(fault, root, copy, "--smallest")?;
    Ok(PlantedFault { fault, reported, is_found, is_found_by_tests })
}

/// Explores the fleets of a size with the library in `copy`. Returns the reported line about the property
/// of the fault, or the first line, and whether the property is reported.
fn explore(fault: &Fault, root: &Path, copy: &Path, size: &str) -> io::Result<(String, bool)> {
    let target: PathBuf = root.join("target/explore-faults");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--release", "--quiet", "--locked", "--manifest-path"])
        .arg(copy.join("tests/explore/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .args(["--", size])
        // A fault can leave unused code.
        .env("RUSTFLAGS", "-A warnings")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let broken: Vec<_> = text.lines().filter(|line| line.contains(" is broken: ")).collect();
    let expected = format!("{} is broken", fault.breaks);
    let found = broken.iter().find(|line| line.starts_with(&expected));
    let reported = match found.or(broken.first()) {
        Some(line) => (*line).to_owned(),
        None if output.status.success() => "nothing".to_owned(),
        // The library was not built, or the exploration ended with a panic.
        None => {
            String::from_utf8_lossy(&output.stderr).lines().take(6).collect::<Vec<_>>().join(" ")
        }
    };
    Ok((reported, found.is_some()))
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            copy_file(&from, &to)?;
        }
    }
    Ok(())
}

/// Copies a file unless its copy is equal, because Cargo compiles a file that was written again.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let text = fs::read(from)?;
    if fs::read(to).is_ok_and(|copied| copied == text) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, text)
}
