//! What clients get, from a provider that serves by IRP only.
#[path = "responses.rs"]
mod responses;
