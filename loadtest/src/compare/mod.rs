//! A scenario against several servers in turn, and what may be said of it.
//!
//! | module | what |
//! |---|---|
//! | [`target`] | a server: where it is, and its process where that is known |
//! | [`cpu`] | the time that process has used |
//! | [`rounds`] | the servers in turn, in a new order in each round |
//! | [`statistics`] | ratios, and how sure they are |
//! | [`comparison`] | all that was found out |
//! | [`environment`] | where it was measured |
//! | [`report`] | the same as a page, as Markdown and as JSON |

pub mod comparison;
pub mod cpu;
pub mod environment;
pub mod report;
pub mod rounds;
pub mod statistics;
pub mod target;
