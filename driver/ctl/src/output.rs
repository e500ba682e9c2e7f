//! How things are shown.
use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

/// Writes one value on a line of its own.
pub(crate) fn json(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

/// Writes text as it is.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A table without lines; columns in `right` are aligned to the right.
pub(crate) fn table(head: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !head.is_empty() {
        table.set_header(head);
    }
    table.add_rows(rows);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// A number with a comma after each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time of service, with three digits.
pub(crate) fn time(ns: u64) -> String {
    let (unit, word) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, thousandths) = (ns / unit, ns % unit * 1000 / unit);
    match whole {
        0..10 => format!("{whole}.{:02} {word}", thousandths / 10),
        10..100 => format!("{whole}.{} {word}", thousandths / 100),
        _ => format!("{whole} {word}"),
    }
}

/// Octets, in the unit that leaves at most four digits before the point.
pub(crate) fn octets(octets: u64) -> String {
    match octets {
        0..10_000 => format!("{octets} B"),
        10_000..10_240_000 => format!("{} KiB", octets >> 10),
        10_240_000..10_485_760_000 => format!("{} MiB", octets >> 20),
        _ => format!("{} GiB", octets >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(grouped(number), text);
        }
        let times = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_005, "1.00 us"),
            (47_103, "47.1 us"),
            (999_999, "999 us"),
            (1_500_000, "1.50 ms"),
            (12_000_000_000, "12.0 s"),
        ];
        for (ns, text) in times {
            assert_eq!(time(ns), text);
        }
        assert_eq!((octets(9_999), octets(1 << 20)), ("9999 B".into(), "1024 KiB".into()));
    }

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_spaces() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["bb".into(), "22".into()]];
        let table = table(&["what", "n"], &[1], rows);
        assert_eq!(table, " what   n\n a      1\n bb    22\n");
    }
}
