//! The scenarios against a right peer and against each kind of wrong one.

#![forbid(unsafe_code)]

mod churn;
mod compare;
mod hold;
mod open;
mod peer;
mod play;
mod rare;
mod run;
