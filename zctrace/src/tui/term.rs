//! The terminal, borrowed: whatever happens, it is given back as it was.

use std::io::{self, Stdout, Write as _, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};

/// How long a viewer has to end by itself after a signal; it may hang in a write to a terminal that takes none.
const PATIENCE: Duration = Duration::from_millis(1500);

static BORROWED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// The thread that draws.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// What panics of other threads said.
static SAID: Mutex<String> = Mutex::new(String::new());

/// The borrowed terminal. Dropping it gives it back.
#[derive(Debug)]
pub struct Term {
    screen: Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
}

impl Term {
    /// Borrows it.
    ///
    /// # Errors
    /// When stdout is no terminal, or does not answer.
    pub fn new(mouse: bool) -> io::Result<Self> {
        *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let owner = *OWNER.lock().unwrap_or_else(PoisonError::into_inner);
                let others = owner.is_some_and(|owner| owner != std::thread::current().id());
                if others && BORROWED.load(Ordering::SeqCst) {
                    // Whoever draws goes on or ends; then it is told.
                    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
                    said.push_str(&format!("zctrace: {panic}\n"));
                    return;
                }
                give_back();
                before(panic);
            }));
        });
        let screen = Terminal::new(CrosstermBackend::new(stdout()))?;
        let mut term = Self { screen, mouse };
        term.take()?;
        Ok(term)
    }

    fn take(&mut self) -> io::Result<()> {
        BORROWED.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
        self.mouse(self.mouse)
    }

    /// Whether the mouse is ours.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn mouse(&mut self, ours: bool) -> io::Result<()> {
        self.mouse = ours;
        if ours { execute!(stdout(), EnableMouseCapture) } else { execute!(stdout(), DisableMouseCapture) }
    }

    /// To draw on.
    pub fn screen(&mut self) -> &mut Terminal<CrosstermBackend<Stdout>> {
        &mut self.screen
    }

    /// Gives it back, stops like any program does on Ctrl-Z, and borrows it again afterwards.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(SIGTSTP)?;
        self.take()?;
        self.anew()
    }

    /// Forgets what is on the screen: the next drawing is a whole one. It asks the terminal nothing, which may
    /// not answer.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn anew(&mut self) -> io::Result<()> {
        execute!(stdout(), Clear(ClearType::All))?;
        self.screen = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Puts `text` on the user's clipboard, by the terminal (OSC 52), also over ssh.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut out = stdout();
        write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
        out.flush()
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        give_back();
        let said = std::mem::take(&mut *SAID.lock().unwrap_or_else(PoisonError::into_inner));
        eprint!("{}", crate::text::harmless(said.as_bytes()).replace("\\n", "\n"));
    }
}

/// Gives the terminal back, once.
fn give_back() {
    if BORROWED.swap(false, Ordering::SeqCst) {
        // Raw mode first: a terminal that takes no bytes still takes that.
        let _ = disable_raw_mode();
        let _ = execute!(
            stdout(),
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            cursor::Show
        );
    }
}

/// Waits so long for a key; whether something came, be it a signal. Without it, crossterm would spin through
/// the last millisecond of every wait.
///
/// # Errors
/// When the terminal is gone.
pub fn wait(most: Duration) -> io::Result<bool> {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let most = Timespec::try_from(most).unwrap_or_default();
    match poll(&mut fds, Some(&most)) {
        Ok(0) => Ok(false),
        Ok(_) if fds.iter().any(|fd| fd.revents().contains(PollFlags::HUP)) => {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
        Ok(_) | Err(Errno::INTR) => Ok(true),
        Err(e) => Err(e.into()),
    }
}

/// Set whenever somebody wants this process to stop (`SIGTSTP`).
///
/// # Errors
/// When the signal cannot be waited for.
pub fn on_stop() -> io::Result<Arc<AtomicBool>> {
    let stops = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTSTP, Arc::clone(&stops))?;
    Ok(stops)
}

/// Set once somebody wants this process to end. Whoever draws looks at it; if that does not help in time, the
/// process ends anyway, its terminal back in order.
///
/// # Errors
/// When signals cannot be waited for.
pub fn on_signals() -> io::Result<Arc<AtomicBool>> {
    let ends = Arc::new(AtomicBool::new(false));
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGHUP, SIGINT])?;
    let flag = Arc::clone(&ends);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let Some(signal) = signals.forever().next() else {
            return;
        };
        flag.store(true, Ordering::SeqCst);
        std::thread::sleep(PATIENCE);
        let _ = disable_raw_mode();
        std::thread::spawn(give_back);
        std::thread::sleep(Duration::from_millis(100));
        std::process::exit(128 + signal);
    })?;
    Ok(ends)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0u8; 4];
        word.iter_mut().skip(1).zip(chunk).for_each(|(to, from)| *to = *from);
        let word = u32::from_be_bytes(word);
        for i in 0..4usize {
            let digit = DIGITS.get((word >> (18 - 6 * i) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_as_in_rfc_4648() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, code) in cases {
            assert_eq!(base64(text.as_bytes()), code);
        }
    }
}
