//! The transport: this machine's sockets.
pub(crate) mod address;
pub(crate) mod buffer;
pub(crate) mod listening;
pub(crate) mod stream;
