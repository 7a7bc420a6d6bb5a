//! How many instructions and allocations the hot paths take: the same on every run, however
//! noisy the machine.
//!
//! ```sh
//! cargo bench --bench instructions             # compares with benches/instructions/baseline.json
//! cargo bench --bench instructions -- --write  # replaces it
//! ```
//!
//! Simulators know no SHA extensions and would count another path, so a child is stepped
//! through the real one, instruction by instruction, with `ptrace`. The kernel's clock functions
//! are left out, because their counts differ between two runs. Counts hold for one
//! compiler and one set of instructions, which the file names: with others they are
//! printed and compared with nothing. Linux on x86-64 alone.
#![allow(missing_docs, unreachable_pub, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../hot_path/input.rs"]
#[allow(dead_code)]
mod input;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod stepping;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    stepping::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() {
    println!("instructions are counted on Linux and x86-64 alone");
}
