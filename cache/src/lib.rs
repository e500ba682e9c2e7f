//! The site image: format, validation, constant-time lookup; the builder is behind std.
