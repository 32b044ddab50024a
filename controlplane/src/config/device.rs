//! The device that makes and keeps DNSSEC keys: where its module, its label and its PIN are.
//!
//! The PIN itself is no argument, which everybody on the machine could read. Invariant: whoever may read the file with it is
//! its owner, or in its group.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::ConfigError;
use crate::keys::DeviceSettings;

/// The permissions that a PIN file must not give. The group bits of a credential of systemd show its access list.
const FORBIDDEN: u32 = 0o007;
/// For how many days it has keys that no domain needs any more, if nothing is said.
const KEEP_DAYS: u32 = 30;

/// The arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct DeviceArgs {
    /// PKCS #11 module of a device that makes and keeps new DNSSEC keys [default: none; they are sealed in the database].
    #[arg(long = "pkcs11", value_name = "MODULE")]
    pub module: Option<PathBuf>,
    /// Label of that device.
    #[arg(long = "pkcs11-token", value_name = "LABEL")]
    pub label: Option<String>,
    /// File with its user PIN, in one line.
    #[arg(long = "pkcs11-pin-file", value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
    /// After how many days a key that no domain needs any more is removed from that device: a backup of the database that is
    /// restored needs the keys of its time, and so does a deletion that is taken back, so no fewer than backups are kept; 0
    /// removes them at once [default: 30].
    #[arg(long = "pkcs11-keep", value_name = "DAYS")]
    pub keep_days: Option<u32>,
}

/// The table `[pkcs11]` of the file.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileDevice {
    /// As `--pkcs11`.
    module: Option<PathBuf>,
    /// As `--pkcs11-token`.
    token: Option<String>,
    /// As `--pkcs11-pin-file`.
    pin_file: Option<PathBuf>,
    /// As `--pkcs11-keep`.
    keep: Option<u32>,
}

/// Merges arguments and file.
pub(super) fn settings(args: DeviceArgs, file: FileDevice) -> Result<Option<DeviceSettings>, ConfigError> {
    let parts = (args.module.or(file.module), args.label.or(file.token), args.pin_file.or(file.pin_file));
    let keep_days = args.keep_days.or(file.keep).unwrap_or(KEEP_DAYS);
    let settings = match parts {
        (None, None, None) => return Ok(None),
        (Some(module), Some(label), Some(pin_file)) => DeviceSettings { module, label, pin_file, keep_days },
        _ => return Err(ConfigError::HalfDevice),
    };
    mode_of(&settings.module)?;
    let mode = mode_of(&settings.pin_file)?;
    if mode & FORBIDDEN != 0 {
        let problem =
            format!("others can read the PIN (mode {:04o}): `chmod 600` it, and change the PIN", mode & 0o7777);
        return Err(ConfigError::DeviceFile { path: settings.pin_file, problem });
    }
    Ok(Some(settings))
}

/// The permissions of a file that must be there.
fn mode_of(path: &Path) -> Result<u32, ConfigError> {
    let failed = |problem: String| ConfigError::DeviceFile { path: path.to_owned(), problem };
    let found = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if found.is_file() { Ok(found.mode()) } else { Err(failed("it is no file".to_owned())) }
}
