//! Pool, references, lists of buffers, memory that is sent from.
use std::sync::Arc;

use nt::{Lookaside, Pinned, PoolArc, PoolBox, PoolSlice, Result, Status, Tag};
use nthost::Options;

use crate::{Held, run, run_on, run_with, without};

/// Alone on a cache line.
#[repr(align(64))]
struct Line(u8);

#[test]
fn a_box_has_its_value_until_it_is_dropped() {
    run(|_| {
        let value = Arc::new(5);
        let mut boxed = PoolBox::new(Tag::Server, (value.clone(), 1)).unwrap();
        boxed.1 = 7;
        assert_eq!((*boxed.0, boxed.1), (5, 7));
        drop(boxed);
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

#[test]
fn a_slice_has_its_values_in_order_until_it_is_dropped() {
    run(|_| {
        let value = Arc::new(());
        let make = |at| (at, value.clone());
        let mut slice = PoolSlice::from_fn(Tag::Server, 3, make).unwrap();
        slice[2].0 = 9;
        let numbers: Vec<usize> = slice.iter().map(|(at, _)| *at).collect();
        assert_eq!(numbers, [0, 1, 9]);
        assert_eq!(format!("{slice:?}"), "PoolSlice(3 values)");
        drop(slice);
        assert_eq!(Arc::strong_count(&value), 1);
        assert!(PoolSlice::from_fn(Tag::Server, 0, |at| at).unwrap().is_empty());
    });
}

#[test]
fn a_slice_is_not_made_when_it_cannot_be() {
    run(|_| {
        let too_many = PoolSlice::from_fn(Tag::Server, usize::MAX, |_| 0_u16);
        assert_eq!(too_many.unwrap_err(), Status::INSUFFICIENT_RESOURCES);
        let value = Arc::new(());
        let third_fails = |at| if at < 2 { Ok(value.clone()) } else { Err(Status::NOT_FOUND) };
        let some = PoolSlice::try_from_fn(Tag::Server, 5, third_fails);
        assert_eq!(some.unwrap_err(), Status::NOT_FOUND);
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

#[test]
fn values_have_cache_lines_of_their_own_where_their_type_says_so() {
    run(|_| {
        let make = |at| PoolSlice::from_fn(Tag::Server, at, |_| Line(0)).unwrap();
        let slices: Vec<PoolSlice<Line>> = (1..9).map(make).collect();
        for line in slices.iter().flat_map(|slice| slice.iter()) {
            assert_eq!(core::ptr::from_ref(line).addr() % 64 + usize::from(line.0), 0);
        }
    });
}

#[test]
fn each_tag_is_its_own_in_the_ledger_with_the_octets_that_were_asked_for() {
    let tags = [
        (Tag::Server, "WhSv"),
        (Tag::Connection, "WhCn"),
        (Tag::Head, "WhHd"),
        (Tag::Send, "WhSn"),
        (Tag::Receive, "WhRc"),
        (Tag::Site, "WhSi"),
    ];
    let hold = move |_: &_, _: &_| -> Result<Held> {
        let slices = tags.iter().map(|(tag, _)| PoolSlice::from_fn(*tag, 48, |_| 0_u128));
        Ok(Box::new(slices.collect::<Result<Vec<_>>>()?))
    };
    run_with(Options::default(), hold, move |host, _| {
        let ledger = host.ledger();
        for (_, name) in tags {
            let item = ledger.items.get(&format!("pool {name}")).expect(name);
            let instance = if name == "WhSv" { 2 } else { 1 };
            assert_eq!(item.count, instance, "{name}");
            assert!((48 * 16..2_048).contains(&item.octets), "{name}: {}", item.octets);
        }
    });
}

#[test]
fn a_counted_value_is_dropped_with_its_last_reference() {
    run(|_| {
        let value = Arc::new(());
        let mut first = PoolArc::new(Tag::Server, (value.clone(), 3)).unwrap();
        first.get_mut().unwrap().1 = 4;
        let second = first.clone();
        assert!(first.get_mut().is_none());
        assert_eq!((first.1, second.1), (4, 4));
        drop(first);
        assert_eq!(Arc::strong_count(&value), 2);
        drop(second);
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

/// Buffers of eight octets.
fn use_buffers() {
    let list: Lookaside<8> = Lookaside::new(Tag::Head).unwrap();
    for _ in 0..3 {
        let (mut one, mut other) = (list.take().unwrap(), list.take().unwrap());
        assert!(one.is_empty() && other.is_empty());
        assert_eq!((one.append(b"abc"), one.append(b"de"), other.append(b"xyz")), (3, 2, 3));
        assert_eq!((one.append(b"fghij"), &one[..]), (3, &b"abcdefgh"[..]));
        assert_eq!(one.append(b"k"), 0);
        one.consume(6);
        assert_eq!((&one[..], &other[..]), (&b"gh"[..], &b"xyz"[..]));
        one[0] = b'G';
        assert_eq!((one.append(b"i"), &one[..]), (1, &b"Ghi"[..]));
        one.consume(9);
        assert!(one.is_empty());
    }
    // It keeps its list.
    let mut kept = list.take().unwrap();
    drop(list);
    assert_eq!(kept.append(b"12345678"), 8);
}

#[test]
fn a_buffer_is_empty_however_it_was_left_and_holds_as_many_octets_as_it_says() {
    run(|_| use_buffers());
}

#[test]
fn a_list_is_the_kernels_where_it_has_such_lists() {
    let hold = |_: &_, _: &_| -> Result<Held> { Ok(Box::new(Lookaside::<8>::new(Tag::Head)?)) };
    for (absent, lists) in [(&[][..], 1), (&["ExInitializeLookasideListEx"], 0)] {
        run_with(without(absent), hold, move |host, _| {
            let ledger = host.ledger();
            let counted = ledger.items.get("lookaside lists").map_or(0, |item| item.count);
            assert_eq!(counted, lists, "without {absent:?}");
        });
    }
}

#[test]
fn buffers_are_the_same_on_a_kernel_without_lists_or_without_the_newer_pool() {
    for absent in ["ExInitializeLookasideListEx", "ExDeleteLookasideListEx", "ExAllocatePool2"] {
        run_on(without(&[absent]), |_, _| use_buffers());
    }
}

/// Memory that is left dirty, then memory that is asked for.
fn pin() {
    for _ in 0..3 {
        let pinned = Pinned::new(Tag::Site, 3_000, |octets| {
            assert!(octets.iter().all(|octet| *octet == 0), "not zeroed");
            octets.fill(7);
            Ok(())
        });
        let pinned = pinned.unwrap();
        assert_eq!((pinned.len(), pinned.iter().all(|octet| *octet == 7)), (3_000, true));
        assert_eq!(Pinned::count(), 1);
        let shared = pinned.share();
        drop(pinned);
        assert_eq!((Pinned::count(), shared[2_999]), (1, 7));
        drop(shared);
        assert_eq!(Pinned::count(), 0);
    }
}

#[test]
fn pinned_memory_is_zeroed_first_and_freed_with_the_last_that_shares_it() {
    run(|_| pin());
    run_on(without(&["ExAllocatePool2"]), |_, _| pin());
}

#[test]
fn memory_is_not_pinned_when_its_length_is_impossible_or_it_cannot_be_filled() {
    run(|_| {
        for impossible in [0, (1 << 31) + 1, usize::MAX] {
            let none = Pinned::new(Tag::Site, impossible, |_| unreachable!());
            assert_eq!(none.map(drop).unwrap_err(), Status::INVALID_PARAMETER, "{impossible}");
        }
        let none = Pinned::new(Tag::Site, 1, |_| Err(Status::FILE_CORRUPT_ERROR));
        assert_eq!(none.map(drop).unwrap_err(), Status::FILE_CORRUPT_ERROR);
        assert_eq!(Pinned::count(), 0);
    });
}
