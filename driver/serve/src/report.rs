//! What the driver holds and did.
use nthost::Host;
use wskhttpd_abi::{COUNTERS_BYTES, Counter, Counters, DEVICE_NAME, IOCTL_QUERY_COUNTERS};

/// Asks the driver for its counters, by the control device.
pub(crate) fn counters(host: &Host) -> Option<Counters> {
    let output = host.device_control(DEVICE_NAME, IOCTL_QUERY_COUNTERS, &[], COUNTERS_BYTES);
    Counters::decode(&output.ok()?)
}

/// Prints counters, the ledger of memory, and what one idle connection costs.
pub(crate) fn print(host: &Host) {
    let Some(counters) = counters(host) else {
        eprintln!("wskhttpd: the driver does not answer");
        return;
    };
    for counter in Counter::ALL {
        println!("{:24} {}", counter.name(), counters.get(*counter));
    }
    print!("{:#}", host.ledger());
    let (open, slots) = (counters.get(Counter::ConnectionsOpen), counters.get(Counter::Slots));
    println!(
        "memory per idle connection: {} octets (one of {slots} slots, {open} in use)",
        counters.get(Counter::SlotBytes)
    );
}
