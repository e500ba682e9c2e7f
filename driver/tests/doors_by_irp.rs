//! Who gets in, with a provider that serves by IRP only.
#[path = "doors.rs"]
mod doors;
