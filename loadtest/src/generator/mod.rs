//! The generator: what puts load on a server and believes nothing of what comes back.
//!
//! | module | what |
//! |---|---|
//! | [`plan`] | what every kind of load is given |
//! | [`site`] | where to connect, what to ask, what the right answer is |
//! | [`response`] | one connection's incoming bytes, taken apart and checked |
//! | [`template`] | the same by comparison with an answer that was found right |
//! | [`connection`] | one non-blocking connection |
//! | [`schedule`] | when requests are to begin, where that does not depend on the answers |
//! | [`timer`] | waking up when the next one is due |
//! | [`run`] | load: closed or open loop over many connections, on several threads |
//! | `worker` | one of these threads |
//! | [`hold`] | load: many connections opened, held, and answered again |
//! | [`churn`] | load: a connection for each request, of clients that are slow or leave rudely |
//! | [`fault`] | what can go wrong, by class |
//! | [`tally`] | what is counted meanwhile |
//! | [`report`] | what is printed at the end |
//! | [`descriptors`] | the limit on open files |

pub mod churn;
pub mod connection;
pub mod descriptors;
pub mod fault;
pub mod hold;
pub mod plan;
pub mod report;
pub mod response;
pub mod run;
pub mod schedule;
pub mod site;
pub mod tally;
pub mod template;
pub mod timer;
mod worker;
