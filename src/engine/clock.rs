//! The times that a node writes down.

/// Seconds from one time of a node (RFC 3339 in UTC, as `date -u +%FT%TZ` writes it) to another; `None` if either is not one.
pub(super) fn seconds_between(from: &str, to: &str) -> Option<i64> {
    Some(seconds(to)? - seconds(from)?)
}

/// Seconds since the beginning of 1970.
fn seconds(time: &str) -> Option<i64> {
    let (date, time) = time.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(time, ':')?;
    // Days since 1970, in a calendar whose years start in March: a leap day is then the last day of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn three(text: &str, between: char) -> Option<[i64; 3]> {
    let numbers: Result<Vec<i64>, _> = text.split(between).map(str::parse).collect();
    numbers.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_as_date_counts_them() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T23:59:59Z"), Some(951_868_799));
        assert_eq!(seconds("2026-11-22T12:00:00Z"), Some(1_795_348_800));
        let over_new_year = ("2027-12-31T23:59:58Z", "2028-01-01T00:00:03Z");
        assert_eq!(seconds_between(over_new_year.0, over_new_year.1), Some(5));
        for no_time in ["", "12:00", "2026-11-22 12:00:00", "60 s later", "T:Z"] {
            assert_eq!(seconds(no_time), None, "{no_time}");
        }
    }
}
