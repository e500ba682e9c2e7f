/* Empty: see src/headers.rs. */
