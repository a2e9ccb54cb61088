//! Python with packages of PyPI, in an environment of its own.
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The interpreter of an environment in `folder` that has `packages`, as in `twilio==9.13.0`; made where it is not there
/// yet by `scripts/python-packages` of the repository `root`.
///
/// # Panics
/// If it cannot be made: Python and PyPI are needed.
pub fn python(root: &str, folder: &str, packages: &[&str]) -> PathBuf {
    let made = Command::new(Path::new(root).join("scripts/python-packages"))
        .arg(folder)
        .args(packages)
        .stderr(Stdio::inherit())
        .output();
    match made {
        Ok(made) if made.status.success() => {
            PathBuf::from(String::from_utf8_lossy(&made.stdout).trim().to_owned())
        }
        other => {
            panic!("{packages:?} cannot be installed: scripts/setup test, and PyPI, are needed: {other:?}")
        }
    }
}
