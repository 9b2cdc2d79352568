//! A recording, read ahead: while somebody takes the events of some blocks, a thread reads, checks, unpacks,
//! decodes and orders the next ones.
//!
//! What is handed over, and in which order, is as if one thread did all of it, and so is what happens where the
//! recording ends or cannot be read: that is known only after everything before was taken. Memory is bounded:
//! at most [`AHEAD`] batches wait, a batch is what one block let go of, and its memory goes round. A live trace has
//! no such thread.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use zctrace_common::frame::Header;

use crate::event::{Decoded, Event, decode};
use crate::order::{Order, Ordered};
use crate::trace::{Block, End};

/// Batches that wait to be taken.
const AHEAD: usize = 2;

/// What waits for a barrier, by stream.
pub type Orders = BTreeMap<u16, Order>;

/// Takes events of a stream, in the order of time.
pub type Take<'a, E> = dyn FnMut(u16, &[(Header, Event)]) -> Result<(), E> + 'a;

/// Events that a block lets go of.
#[derive(Debug, Default)]
struct Batch {
    stream: u16,
    events: Ordered,
}

/// Hands over every event up to the last barrier, by stream in the order of time; those behind it stay in `orders`.
/// Answers how the recording ends.
///
/// # Errors
/// When `next` fails, or `take` does: then nothing more is handed over.
pub fn events<E: From<io::Error> + Send>(
    next: impl FnMut() -> Result<Result<Block, End>, E> + Send,
    orders: &mut Orders,
    take: &mut Take<'_, E>,
) -> Result<End, E> {
    thread::scope(|scope| {
        let (full, batches) = sync_channel(AHEAD);
        let (empty, spare) = channel();
        let name = thread::Builder::new().name("read-ahead".into());
        let ahead = name.spawn_scoped(scope, || read(next, orders, full, spare))?;
        take_all(batches, empty, take)?;
        ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read<E>(
    mut next: impl FnMut() -> Result<Result<Block, End>, E>,
    orders: &mut Orders,
    full: SyncSender<Batch>,
    spare: Receiver<Batch>,
) -> Result<End, E> {
    loop {
        let block = match next()? {
            Ok(block) => block,
            Err(end) => {
                if let End::Disordered { .. } = end {
                    orders.values_mut().for_each(Order::forget);
                }
                return Ok(end);
            }
        };
        let mut batch = spare.try_recv().unwrap_or_default();
        batch.stream = block.stream;
        batch.events.clear();
        let order = orders.entry(block.stream).or_default();
        for (_, bytes) in block.frames() {
            if let Decoded::Frame(header, event) = decode(bytes) {
                order.push_into(header, event, &mut batch.events);
            }
        }
        if !batch.events.is_empty() && full.send(batch).is_err() {
            // Nobody asks how it ends.
            return Ok(End::Complete);
        }
    }
}

fn take_all<E>(batches: Receiver<Batch>, empty: Sender<Batch>, take: &mut Take<'_, E>) -> Result<(), E> {
    for batch in batches {
        take(batch.stream, &batch.events)?;
        // It is cleared over there, where there is time.
        let _ = empty.send(batch);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
