//! Conditional requests, from a provider that serves by IRP only.
#[path = "conditional.rs"]
mod conditional;
