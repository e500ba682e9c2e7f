//! Raw NT and WSK names and layouts, exactly as far as the driver uses them.
