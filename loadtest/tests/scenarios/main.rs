//! The scenarios against a right peer and against each kind of wrong one.

#![forbid(unsafe_code)]

mod churn;
mod hold;
mod peer;
mod run;
