//! The fence: safe wrappers over NT and WSK.
