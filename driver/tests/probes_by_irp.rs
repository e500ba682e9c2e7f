//! What health checks and common clients get from a provider that serves by IRP only.
#[path = "probes.rs"]
mod probes;
