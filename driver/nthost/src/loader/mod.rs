//! Loading a driver's image: parse, map, relocate, bind, protect.
//!
//! [`parse`](image::Image::parse) is a total function over arbitrary octets; what it accepts can be
//! mapped. The mapping is writable or executable and never both.
pub(crate) mod image;
pub(crate) mod mapping;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use image::LoadError;
