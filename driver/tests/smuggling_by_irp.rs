//! Streams that two readers could frame in two ways, to a provider that serves by IRP only.
#[path = "smuggling.rs"]
mod smuggling;
