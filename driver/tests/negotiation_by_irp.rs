//! What is chosen, from a provider that serves by IRP only.
#[path = "negotiation.rs"]
mod negotiation;
