//! What an operator can see, with a provider that serves by IRP only.
#[path = "observe.rs"]
mod observe;
