//! Range requests, from a provider that serves by IRP only.
#[path = "ranges.rs"]
mod ranges;
