//! The driver: listener, admission, connection, send, timers, site, control, shutdown.
