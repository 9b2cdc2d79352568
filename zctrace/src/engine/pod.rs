//! Payloads of frames inside a saved state: as bytes, so that they may grow as they do in frames.

use bytemuck::{Pod, bytes_of};
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
use serde_bytes::{ByteBuf, Bytes};
use zctrace_common::frame::read;

pub(super) fn serialize<T: Pod, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    Bytes::new(bytes_of(value)).serialize(to)
}

pub(super) fn deserialize<'a, T: Pod, D: Deserializer<'a>>(from: D) -> Result<T, D::Error> {
    Ok(read(&ByteBuf::deserialize(from)?))
}

/// In a box.
pub(super) mod boxed {
    use super::{Deserializer, Pod, Serializer};

    #[expect(clippy::borrowed_box, reason = "that is what serde has")]
    pub(crate) fn serialize<T: Pod, S: Serializer>(value: &Box<T>, to: S) -> Result<S::Ok, S::Error> {
        super::serialize::<T, S>(value, to)
    }

    pub(crate) fn deserialize<'a, T: Pod, D: Deserializer<'a>>(from: D) -> Result<Box<T>, D::Error> {
        super::deserialize(from).map(Box::new)
    }
}
