//! Reading a ring of the driver to its end, and on.
use std::thread;
use std::time::Duration;

use anyhow::Result;
use wskhttpd_abi::Since;

use crate::driver::Part;

/// Time between two looks at a list that is followed.
const LOOK: Duration = Duration::from_millis(250);
/// Parts of a list that is read once, at most: more than any ring has, so that it ends even where
/// it grows as fast as it is read.
const PARTS_MAX: usize = 256;

/// Reads part by part; once to the end, or on and on.
pub(super) fn read<R>(
    goes_on: bool,
    part: impl Fn(Since) -> Result<Part<R>>,
    mut show: impl FnMut(&Part<R>) -> Result<()>,
) -> Result<()> {
    let mut since = Since::default();
    let mut parts = 0;
    loop {
        let part = part(since)?;
        if part.lost > 0 || !part.items.is_empty() {
            show(&part)?;
        }
        let is_end = part.next.0 <= since.0;
        parts += 1;
        if !goes_on && (is_end || parts == PARTS_MAX) {
            return Ok(());
        }
        if is_end {
            thread::sleep(LOOK);
        }
        since = part.next;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A ring that has items 3 to 9, two of which fit into a part.
    fn part(since: Since) -> Part<u64> {
        let first = since.0.max(3);
        let items: Vec<u64> = (first..10).take(2).collect();
        let next = Since(first + items.len() as u64);
        Part { items, lost: first - since.0, next }
    }

    #[test]
    fn a_ring_is_read_to_its_end_and_what_it_lost_is_told() {
        let (mut items, mut lost) = (Vec::new(), 0);
        let read_part = |since| Ok(part(since));
        read(false, read_part, |part| {
            items.extend(&part.items);
            lost += part.lost;
            Ok(())
        })
        .unwrap();
        assert_eq!((&items[..], lost), (&[3, 4, 5, 6, 7, 8, 9][..], 3));
    }

    #[test]
    fn a_ring_that_never_ends_is_left_unless_it_is_followed() {
        let endless = |since: Since| Ok(Part { items: vec![0], lost: 0, next: Since(since.0 + 1) });
        let parts = RefCell::new(0);
        let count = |_: &Part<i32>| {
            *parts.borrow_mut() += 1;
            anyhow::ensure!(*parts.borrow() < 2 * PARTS_MAX, "enough");
            Ok(())
        };
        assert!(read(false, endless, count).is_ok());
        assert_eq!(parts.replace(0), PARTS_MAX);
        assert!(read(true, endless, count).is_err());
    }
}
