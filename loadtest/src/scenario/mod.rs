//! A scenario: loads side by side, and commands beside them, as a TOML file says.
//!
//! | module | what |
//! |---|---|
//! | [`file`] | the file, and what may be in it |
//! | [`shipped`] | the ones that come with this program |
//! | [`play`] | running one |
//! | [`beside`] | commands run now and then meanwhile |

pub mod beside;
pub mod file;
pub mod play;
pub mod shipped;
