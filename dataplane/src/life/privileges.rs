//! Becomes another user for good, before any query is read.
//!
//! It changes nothing unless asked. glibc applies the change to all threads (nptl(7)).

use std::ffi::CString;
use std::io;

use nix::unistd::{Group, User, geteuid, initgroups, setgid, setuid};

/// A user to become.
#[derive(Debug)]
pub(super) struct Account {
    /// The entry of the user database.
    user: User,
}

/// Looks the id of group `name` up.
///
/// # Errors
/// If there is no such group.
pub(super) fn group(name: &str) -> io::Result<u32> {
    let group = Group::from_name(name)?;
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("there is no group `{name}`"));
    Ok(group.ok_or_else(missing)?.gid.as_raw())
}

impl Account {
    /// Looks `name` up.
    ///
    /// # Errors
    /// If this process is not root or there is no such user.
    pub(super) fn find(name: &str) -> io::Result<Account> {
        if !geteuid().is_root() {
            let message = "--user needs root: start without it, or by the systemd unit";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let user = User::from_name(name)?;
        let user = user.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no user `{name}`")))?;
        Ok(Account { user })
    }

    /// User id.
    pub(super) fn uid(&self) -> u32 {
        self.user.uid.as_raw()
    }

    /// Group id.
    pub(super) fn gid(&self) -> u32 {
        self.user.gid.as_raw()
    }

    /// Becomes that user: groups first, while we still may.
    ///
    /// # Errors
    /// Those of setgroups(2), setgid(2) and setuid(2), and if root could be had back.
    pub(super) fn assume(&self) -> io::Result<()> {
        let name = CString::new(self.user.name.as_str())?;
        initgroups(&name, self.user.gid)?;
        setgid(self.user.gid)?;
        setuid(self.user.uid)?;
        if !self.user.uid.is_root() && setuid(0.into()).is_ok() {
            return Err(io::Error::other("root privileges could not be dropped"));
        }
        Ok(())
    }
}
