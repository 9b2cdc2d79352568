//! Between whoever makes pictures and whoever looks at them, on two threads. A picture is made only when one
//! is wanted, so neither waits for the other and nothing piles up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use super::Picture;
use crate::model::TransferId;

/// What to look for in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A transfer ended, or a change was stated.
    Anything,
    /// A transfer whose bytes could have changed.
    Mutation,
    /// A transfer with the verdict `unknown`.
    Unknown,
}

/// Where to go in a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Go {
    /// Goes on or stops.
    PlayPause,
    /// Twice as fast.
    Faster,
    /// Half as fast.
    Slower,
    /// To the next of these.
    Next(Sight),
    /// To the one before.
    Previous(Sight),
    /// By this part of the recording, -1 to 1.
    Scrub(f64),
    /// To this part of it, 0 to 1.
    To(f64),
    /// To this moment, CLOCK_MONOTONIC nanoseconds.
    At(u64),
}

/// What a viewer asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// To know more of this transfer.
    Focus(Option<TransferId>),
    /// To record to that file from now on; `None`: to stop that. Live only.
    Record(Option<PathBuf>),
    /// To go elsewhere in time. Replay only.
    Go(Go),
    /// To end.
    Quit,
}

/// Nobody makes pictures any more: why is for whoever waits for that thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// The viewer's end.
#[derive(Debug)]
pub struct Viewer {
    pictures: Receiver<Arc<Picture>>,
    commands: Sender<Command>,
    wanted: Arc<AtomicBool>,
}

/// The maker's end.
#[derive(Debug)]
pub struct Maker {
    pictures: Sender<Arc<Picture>>,
    commands: Receiver<Command>,
    wanted: Arc<AtomicBool>,
}

/// Both ends. The first picture is wanted at once.
#[must_use]
pub fn link() -> (Viewer, Maker) {
    let (pictures, from_maker) = channel();
    let (commands, from_viewer) = channel();
    let wanted = Arc::new(AtomicBool::new(true));
    let viewer = Viewer { pictures: from_maker, commands, wanted: Arc::clone(&wanted) };
    (viewer, Maker { pictures, commands: from_viewer, wanted })
}

impl Viewer {
    /// Asks for a new picture.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// The newest picture that has come, if any.
    ///
    /// # Errors
    /// When there is none, and whoever makes them is gone.
    pub fn newest(&self) -> Result<Option<Arc<Picture>>, Gone> {
        let mut newest = None;
        loop {
            match self.pictures.try_recv() {
                Ok(picture) => newest = Some(picture),
                Err(TryRecvError::Disconnected) if newest.is_none() => return Err(Gone),
                Err(_) => return Ok(newest),
            }
        }
    }

    /// Waits so long for the first picture.
    ///
    /// # Errors
    /// When whoever makes them is gone.
    pub fn first(&self, most: Duration) -> Result<Option<Arc<Picture>>, Gone> {
        match self.pictures.recv_timeout(most) {
            Ok(picture) => Ok(Some(picture)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }

    /// Sends a command; one that nobody takes any more is dropped.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

impl Maker {
    /// Whether a picture is wanted; asking takes the wish as granted.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }

    /// Shows a picture.
    pub fn show(&self, picture: Picture) {
        let _ = self.pictures.send(Arc::new(picture));
    }

    /// The next command. A viewer that is gone wants to quit.
    #[must_use]
    pub fn command(&self) -> Option<Command> {
        match self.commands.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Command::Quit),
        }
    }

    /// As [`Self::command`], waiting so long for one.
    #[must_use]
    pub fn wait(&self, most: Duration) -> Option<Command> {
        match self.commands.recv_timeout(most) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Command::Quit),
        }
    }
}
