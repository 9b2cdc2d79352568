//! A recording with a cursor: any moment of it as a picture, forwards and backwards.
//!
//! A [`walk::Walk`] is the stages of a replay as they are at one moment. It only goes forwards; an
//! [`index::Index`] keeps some of them, so that going back is going on from an earlier one. [`player`] moves the
//! cursor as a viewer asks.

mod index;
mod marks;
mod player;
mod walk;

pub use self::player::run;
pub use self::walk::Place;

#[cfg(test)]
mod tests;
