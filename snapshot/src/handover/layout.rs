//! The names of the files in a directory of generations, and the one line inside `CURRENT`.
//!
//! No input or output happens here. Invariant: reading a name and writing it again gives the same name, so two spellings
//! never mean one file, and whatever is not recognised is foreign and left alone.

use std::fmt;

use crate::image::{Digest, Generation};

/// The file that names the generation to serve.
pub(super) const CURRENT: &str = "CURRENT";
/// The file whose lock makes a process the writer.
pub(super) const LOCK: &str = "lock";
/// How the names of unfinished files begin.
const TEMP_PREFIX: &str = ".tmp-";
/// How the names of packs begin.
const PACK_PREFIX: &str = "pack-";
/// How the names of manifests begin.
const MANIFEST_PREFIX: &str = "manifest-";

/// What a file name in the directory stands for. Names not listed are foreign, or `CURRENT` and `lock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A pack of this digest.
    Pack(Digest),
    /// A manifest.
    Manifest(ManifestName),
    /// A file that some writer has not finished.
    Temp,
    /// None of ours to touch.
    Foreign,
}

/// What the file name of a manifest says. Ordered as generations succeed each other: by epoch, then by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ManifestName {
    /// The fencing epoch of its writer.
    pub(super) epoch: u64,
    /// Its generation.
    pub(super) generation: Generation,
}

/// The content of `CURRENT`: manifest file name, space, digest of that file, newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CurrentLine {
    /// The manifest to serve.
    pub(super) manifest: ManifestName,
    /// The digest of the manifest's bytes.
    pub(super) digest: Digest,
}

impl FileKind {
    /// Tells what a name stands for.
    pub(super) fn of(name: &str) -> FileKind {
        if let Some(digest) = name.strip_prefix(PACK_PREFIX).and_then(|hex| hex.parse::<Digest>().ok())
            && pack_name(digest) == name
        {
            return FileKind::Pack(digest);
        }
        if let Some(manifest) = ManifestName::parse(name) {
            return FileKind::Manifest(manifest);
        }
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        match name.strip_prefix(TEMP_PREFIX).and_then(|rest| rest.split_once('-')) {
            Some((pid, count)) if is_number(pid) && is_number(count) => FileKind::Temp,
            _ => FileKind::Foreign,
        }
    }
}

impl ManifestName {
    /// Reads a manifest's file name.
    pub(super) fn parse(name: &str) -> Option<ManifestName> {
        let (epoch, generation) = name.strip_prefix(MANIFEST_PREFIX)?.split_once('-')?;
        let number = |hex: &str| u64::from_str_radix(hex, 16).ok();
        let manifest = ManifestName { epoch: number(epoch)?, generation: Generation(number(generation)?) };
        (manifest.to_string() == name).then_some(manifest)
    }
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MANIFEST_PREFIX}{:016x}-{:016x}", self.epoch, self.generation.0)
    }
}

impl CurrentLine {
    /// Reads the whole content of `CURRENT`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(super) fn parse(bytes: &[u8]) -> Result<CurrentLine, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?;
        let line = text.strip_suffix('\n').ok_or("it does not end with a newline")?;
        let (manifest, digest) = line.split_once(' ').ok_or("it is not a manifest name, a space and a digest")?;
        let manifest = ManifestName::parse(manifest).ok_or("it does not begin with a manifest name")?;
        let line = CurrentLine { manifest, digest: digest.parse().map_err(|_| "its digest is not 64 hex digits")? };
        if line.to_string() == text { Ok(line) } else { Err("its digest is not 64 hex digits") }
    }
}

impl fmt::Display for CurrentLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.manifest, self.digest)
    }
}

/// The file name of a pack.
pub(super) fn pack_name(digest: Digest) -> String {
    format!("{PACK_PREFIX}{digest}")
}

/// The name of the `count`-th unfinished file of process `pid`.
pub(super) fn temp_name(pid: u32, count: u64) -> String {
    format!("{TEMP_PREFIX}{pid}-{count}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A digest of one repeated octet.
    fn digest(octet: u8) -> Digest {
        Digest([octet; 32])
    }

    #[test]
    fn names_are_told_apart_and_strangers_are_foreign() {
        let manifest = ManifestName { epoch: 1, generation: Generation(0xabc) };
        assert_eq!(manifest.to_string(), "manifest-0000000000000001-0000000000000abc");
        for (name, kind) in [
            (pack_name(digest(0xab)), FileKind::Pack(digest(0xab))),
            (manifest.to_string(), FileKind::Manifest(manifest)),
            (temp_name(17, 3), FileKind::Temp),
            (pack_name(digest(0xab)).to_uppercase(), FileKind::Foreign),
            (format!("pack-{}", "AB".repeat(32)), FileKind::Foreign),
            ("manifest-1-abc".into(), FileKind::Foreign),
            ("manifest-0000000000000001-0000000000000ABC".into(), FileKind::Foreign),
            ("manifest-+000000000000001-0000000000000abc".into(), FileKind::Foreign),
            (".tmp-".into(), FileKind::Foreign),
            (".tmp-17-".into(), FileKind::Foreign),
            (".tmp-17-3.bak".into(), FileKind::Foreign),
            (CURRENT.into(), FileKind::Foreign),
            (LOCK.into(), FileKind::Foreign),
            ("control".into(), FileKind::Foreign),
        ] {
            assert_eq!(FileKind::of(&name), kind, "{name}");
        }
    }

    #[test]
    fn the_line_in_current_is_read_strictly() {
        let line = CurrentLine { manifest: ManifestName { epoch: 1, generation: Generation(2) }, digest: digest(0xcd) };
        let text = line.to_string();
        assert_eq!(CurrentLine::parse(text.as_bytes()), Ok(line));
        for (what, bad) in [
            ("empty", String::new()),
            ("no newline", text.trim_end().into()),
            ("two lines", format!("{text}{text}")),
            ("capital digest", text.replace("cd", "CD")),
            ("short digest", text.replacen("cd", "", 1)),
            ("path", format!("../{text}")),
            ("two spaces", text.replace(' ', "  ")),
        ] {
            assert!(CurrentLine::parse(bad.as_bytes()).is_err(), "{what}");
        }
        assert!(CurrentLine::parse(b"\xff\n").is_err());
    }
}
