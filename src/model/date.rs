//! A day of the calendar.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::Serializer;

/// A day of the Gregorian calendar, between the years 1 and 9999. Later days are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// Why a text is no [`Date`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotADate(String);

impl fmt::Display for NotADate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a date such as `2027-01-31`", self.0)
    }
}

impl std::error::Error for NotADate {}

impl Date {
    /// The day of this year, month (from 1) and day (from 1); `None` if the calendar has none.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let is_leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let is_there = (1..=9999).contains(&year) && (1..=days).contains(&day);
        is_there.then_some(Date { year, month, day })
    }

    /// The day, in UTC, that holds this second since 1970-01-01 00:00 UTC. A second after the year 9999 is in the last day of it.
    pub fn at(seconds: u64) -> Self {
        // Howard Hinnant, "chrono-compatible low-level date algorithms": days are counted from 0000-03-01, in eras of 400 years.
        let days = (seconds / 86_400).min(2_932_896) + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let fits = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
        Date {
            year: u16::try_from(year).unwrap_or(9999),
            month: fits(month),
            day: fits(day),
        }
    }
}

impl Date {
    /// How many days later `other` is; negative if it is earlier.
    pub fn days_to(self, other: Date) -> i64 {
        other.number() - self.number()
    }

    /// The day by its number, counted from 0000-03-01.
    fn number(self) -> i64 {
        // The reverse of `at`, by the same author.
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year / 400, year % 400);
        let from_march = (month + 9) % 12;
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = NotADate;

    /// Reads `2027-01-31` (RFC 3339's full-date), and nothing shorter.
    ///
    /// # Errors
    /// Another form, and a day that the calendar does not have.
    fn from_str(text: &str) -> Result<Self, NotADate> {
        let fail = || NotADate(text.to_string());
        let is_form = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !is_form {
            return Err(fail());
        }
        let part = |range: std::ops::Range<usize>| text[range].parse::<u16>().unwrap_or(0);
        let short = |range| u8::try_from(part(range)).unwrap_or(0);
        Date::new(part(0..4), short(5..7), short(8..10)).ok_or_else(fail)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_months_and_leap_years() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        for (from, to, days) in [
            ("2027-01-31", "2027-01-31", 0),
            ("2027-01-31", "2027-02-01", 1),
            ("2027-02-01", "2027-01-31", -1),
            ("2028-02-28", "2028-03-01", 2),
            ("2027-02-28", "2027-03-01", 1),
            ("2027-12-31", "2028-12-31", 366),
            ("0001-01-01", "9999-12-31", 3_652_058),
        ] {
            assert_eq!(day(from).days_to(day(to)), days, "{from} {to}");
        }
        let mut seconds = 0;
        while seconds < 4_000_000_000 {
            let (one, next) = (Date::at(seconds), Date::at(seconds + 86_400));
            assert_eq!(one.days_to(next), 1, "{one}");
            seconds += 86_400;
        }
    }

    #[test]
    fn a_date_reads_back() {
        for text in [
            "2027-01-31",
            "2024-02-29",
            "2000-02-29",
            "0001-01-01",
            "9999-12-31",
        ] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_the_calendar_does_not_have_is_no_date() {
        for text in [
            "",
            "2027",
            "2027-1-31",
            "2027-01-32",
            "2027-13-01",
            "2027-00-10",
            "2027-02-29",
            "1900-02-29",
            "0000-01-01",
            "2027/01/31",
            "31-01-2027",
            "+027-01-31",
            "2027-01-31T00:00:00Z",
            "２０２７-01-31",
            "2027-04-31",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

    /// The seconds are those of `date -u -d DAY +%s`.
    #[test]
    fn a_second_is_in_its_day() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_801_353_600, "2027-01-31"),
            (1_801_439_999, "2027-01-31"),
            (4_107_542_400, "2100-03-01"),
            (253_402_300_799, "9999-12-31"),
            (u64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Date::at(seconds).to_string(), day, "{seconds}");
        }
    }

    #[test]
    fn a_later_day_is_greater() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        assert!(date("2027-01-31") < date("2027-02-01"));
        assert!(date("2026-12-31") < date("2027-01-01"));
    }
}
