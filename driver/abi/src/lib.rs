//! IOCTL codes and records, device and registry names; shared by driver and tools.
