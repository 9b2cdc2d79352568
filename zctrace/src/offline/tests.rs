#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Read;

use super::*;
use crate::sim::{Delivery, Knobs, story};
use crate::trace::Reader;
use crate::trace::Writer;

/// In blocks of a few frames each.
fn recording(stop: bool) -> Vec<u8> {
    let how = Delivery { seed: 3, between: 40, shuffle: true, lose: 0 };
    let arrived = story(3, Knobs { steps: 300, races: true, wind_up: true }).deliver(&how);
    let mut writer = Writer::new(Vec::new()).unwrap();
    let frames = arrived.frames.len() - usize::from(!stop);
    for (n, frame) in arrived.frames.iter().take(frames).enumerate() {
        writer.push(frame).unwrap();
        if n % 7 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.finish().unwrap()
}

type All = Vec<(Header, Event)>;

/// As one thread does it.
fn alone(from: impl Read) -> (All, io::Result<End>, Order) {
    let (mut order, mut all) = (Order::default(), Vec::new());
    let end = Reader::new(from).unwrap().read::<io::Error>(&mut |bytes| {
        if let Decoded::Frame(header, event) = decode(bytes) {
            order.push(header, event, &mut |h, e| all.push((*h, e.clone())));
        }
        Ok(())
    });
    (all, end, order)
}

fn ahead(from: impl Read + Send) -> (All, io::Result<End>, Order) {
    let (mut orders, mut all) = (Orders::default(), Vec::new());
    let mut reader = Reader::new(from).unwrap();
    let end = events::<io::Error>(|| reader.block(), &mut orders, &mut |_, events| {
        all.extend_from_slice(events);
        Ok(())
    });
    (all, end, orders.remove(&0).unwrap_or_default())
}

/// Both see the same, also of what is left.
fn agree(from: impl Read + Send + Clone) -> io::Result<End> {
    let ((a, end, mut left), (b, other, mut rest)) = (alone(from.clone()), ahead(from));
    assert_eq!(a, b);
    let rests = [&mut left, &mut rest].map(|order| {
        let mut all = Vec::new();
        order.finish(&mut |h, e| all.push((*h, e.clone())));
        all
    });
    assert_eq!(rests[0], rests[1]);
    assert_eq!(end.as_ref().map_err(io::Error::kind), other.as_ref().map_err(io::Error::kind));
    other
}

#[test]
fn it_is_as_with_one_thread() {
    let bytes = recording(true);
    assert_eq!(agree(bytes.as_slice()).unwrap(), End::Complete);
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    assert!(matches!(agree(damaged.as_slice()).unwrap(), End::Damaged { .. }));
    assert!(matches!(agree(&bytes[..bytes.len() * 2 / 3]).unwrap(), End::Cut { .. }));
    assert!(matches!(agree(recording(false).as_slice()).unwrap(), End::Cut { .. }));
    assert!(matches!(agree(&bytes[..16]).unwrap(), End::Cut { .. }));
}

#[derive(Clone)]
struct Fails<'a>(&'a [u8]);

impl Read for Fails<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            n => Ok(n),
        }
    }
}

#[test]
fn what_came_before_a_failure_is_taken() {
    let bytes = recording(true);
    let error = agree(Fails(&bytes[..bytes.len() / 2])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// However much is still to come.
#[test]
fn whoever_fails_takes_nothing_more() {
    let bytes = recording(true);
    for most in [0, 1, 5] {
        let mut taken = 0;
        let mut reader = Reader::new(Fails(&bytes)).unwrap();
        let error = events::<io::Error>(|| reader.block(), &mut Orders::default(), &mut |_, _| {
            if taken == most {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            taken += 1;
            Ok(())
        });
        assert_eq!((taken, error.unwrap_err().kind()), (most, io::ErrorKind::BrokenPipe));
    }
}
