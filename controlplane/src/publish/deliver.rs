//! Has data planes load a large pack before a generation names it.
//!
//! On the thread that made the pack: until all planes have it, or have had their time, what is published is other things. A
//! plane that is not there, or refuses, loads the pack with its generation, and says then what is wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use snapshot::handover::frames::{Parcel, Reply, Request, read_frame, write_frame};
use tracing::debug;

use super::link::connect;

/// Has all planes load packs; returns when each has them or has failed.
pub(super) fn deliver(planes: &[PathBuf], parcels: &[Parcel]) {
    thread::scope(|scope| {
        for plane in planes {
            let hand = move || {
                if let Err(cause) = hand(plane, parcels) {
                    debug!("data plane {} gets packs with their generation: {cause}", plane.display());
                }
            };
            // Without a thread the plane loads it later.
            thread::Builder::new().name("deliver".into()).spawn_scoped(scope, hand).ok();
        }
    });
}

/// Has one plane load them.
fn hand(plane: &Path, parcels: &[Parcel]) -> io::Result<()> {
    let mut stream = connect(plane)?;
    for parcel in parcels {
        write_frame(&mut stream, &Request::Prepare(parcel.clone()))?;
        match read_frame(&mut stream)? {
            Some(Reply::Prepared) => {}
            Some(Reply::Error { message }) => return Err(io::Error::other(message)),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Plays a plane that has room for so many packs; the files that it was asked to load.
    fn play(listener: &UnixListener, room: usize) -> Vec<String> {
        let (mut stream, _) = listener.accept().unwrap();
        let mut files = Vec::new();
        while let Ok(Some(Request::Prepare(parcel))) = read_frame(&mut stream) {
            files.push(parcel.file);
            let refusal = Reply::Error { message: "no room".to_owned() };
            let reply = if files.len() > room { refusal } else { Reply::Prepared };
            write_frame(&mut stream, &reply).unwrap();
        }
        files
    }

    #[test]
    fn each_plane_is_asked_for_itself_and_one_that_refuses_or_is_away_holds_up_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let planes = ["one", "two", "away"].map(|name| dir.path().join(name));
        let listeners = [&planes[0], &planes[1]].map(|path| UnixListener::bind(path).unwrap());
        let parcel = |file: &str| Parcel { file: file.to_owned(), digest: String::new(), bytes: 1 };
        let [one, two] = thread::scope(|scope| {
            let playing = [(&listeners[0], 9), (&listeners[1], 0)]
                .map(|(listener, room)| scope.spawn(move || play(listener, room)));
            deliver(&planes, &[parcel("a"), parcel("b")]);
            playing.map(|playing| playing.join().unwrap())
        });
        assert_eq!((one, two), (vec!["a".to_owned(), "b".to_owned()], vec!["a".to_owned()]));
    }
}
