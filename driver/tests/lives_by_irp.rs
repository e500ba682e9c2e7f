//! How connections begin and end, with a provider that serves by IRP only.
#[path = "lives.rs"]
mod lives;
