//! Lines of columns, and numbers for a person.

use crate::model::guard::usage::Count;
use crate::report::style::sanitize;

/// The side on which a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// The rows as lines, each column as wide as its widest cell, two blanks between them. A column that is empty in every row is left out.
pub(super) fn lines<const N: usize>(rows: &[[String; N]], align: [Align; N]) -> Vec<String> {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| sanitize(cell)))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells: Vec<String> = (0..N)
            .filter(|column| widths[*column] > 0)
            .map(|column| match align[column] {
                Align::Left => format!("{:<1$}", row[column], widths[column]),
                Align::Right => format!("{:>1$}", row[column], widths[column]),
            })
            .collect();
        cells.join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

/// `12 packets`.
pub(super) fn packets(count: Count) -> String {
    match count.packets {
        1 => "1 packet".to_string(),
        n => format!("{n} packets"),
    }
}

/// `656 B`, `12.3 kB`: with the precision that is useful to a reader.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // In tenths of a unit, cut off, so that no number is rounded up into the next unit.
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `12 s ago`, `3 min ago`, `5 h ago`.
pub(super) fn ago(seconds: u32) -> String {
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7199 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3600),
    }
}

/// A peer with what it is called behind it.
pub(super) fn labelled(peer: String, label: Option<String>) -> String {
    match label {
        Some(label) => format!("{peer} ({label})"),
        None => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_as_exact_as_anybody_reads_them() {
        for (bytes, says) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (12_345_678_901, "12.3 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), says);
        }
        assert_eq!(ago(0), "0 s ago");
        assert_eq!(ago(121), "2 min ago");
        assert_eq!(ago(86_400), "24 h ago");
    }

    #[test]
    fn a_column_without_a_cell_takes_no_room_and_no_line_ends_in_blanks() {
        let row = |cells: [&str; 3]| cells.map(ToString::to_string);
        let rows = [row(["a", "", "1"]), row(["long", "", ""])];
        let lines = lines(&rows, [Align::Left, Align::Left, Align::Right]);
        assert_eq!(lines, ["a     1", "long"]);
    }
}
