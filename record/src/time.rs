//! Times and dates in one form: RFC 3339 in UTC, whole seconds, `Z`.
//!
//! ```
//! let time: record::time::UtcTime = "2026-11-23T09:00:00Z".parse().unwrap();
//! assert_eq!(time.unix_seconds(), 1_795_424_400);
//! assert!("2026-11-23T09:00:00.0Z".parse::<record::time::UtcTime>().is_err());
//! ```
//!
//! Fractions, offsets, lowercase letters and leap seconds are refused: each would be a second spelling, or an
//! instant that another program cannot hold. Dates follow the Gregorian calendar in the years 0001 to 9999.

use std::fmt;
use std::str::FromStr;

use crate::ids::Form;

const SECONDS_PER_DAY: i64 = 86_400;

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// An instant, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime {
    date: Date,
    second_of_day: u32,
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The number that the digits of `text` at this range make.
fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

impl Date {
    /// A day of the calendar.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let good = (1..=9999).contains(&year) && (1..=12).contains(&month);
        (good && (1..=days_in(year, month)).contains(&day)).then_some(Self { year, month, day })
    }

    /// Days since 1970-01-01, negative before it.
    #[must_use]
    pub fn unix_days(self) -> i64 {
        // The year begins in March, so that the leap day is its last.
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
        let year = u16::try_from(number(&[y1, y2, y3, y4])?).ok()?;
        let month = u8::try_from(number(&[m1, m2])?).ok()?;
        Self::new(year, month, u8::try_from(number(&[d1, d2])?).ok()?)
    }
}

impl UtcTime {
    /// Seconds since 1970-01-01T00:00:00Z, negative before it.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.date.unix_days() * SECONDS_PER_DAY + i64::from(self.second_of_day)
    }

    /// The inverse of [`UtcTime::unix_seconds`]; `None` outside the years 0001 to 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
        let days = days.checked_add(719_468)?;
        let era_day = days.rem_euclid(146_097);
        let year_of_era = (era_day - era_day / 1460 + era_day / 36_524 - era_day / 146_096) / 365;
        let day_of_year = era_day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
        let date = Date::new(u16::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)?;
        Some(Self { date, second_of_day: u32::try_from(second).ok()? })
    }

    /// Reads a time as others write it, RFC 3339 with any offset; a fraction of a second is cut off.
    ///
    /// Not for statements, which have one form.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (local, rest) = text.split_at_checked(19)?;
        let local: Self = format!("{}Z", local.replace(['t', ' '], "T")).parse().ok()?;
        let zone = match rest.strip_prefix('.') {
            Some(fraction) => {
                let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
                if zone.len() == fraction.len() {
                    return None;
                }
                zone
            }
            None => rest,
        };
        let offset = match *zone.as_bytes() {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let hours = number(&[h1, h2]).filter(|hours| *hours < 24)?;
                let minutes = number(&[m1, m2]).filter(|minutes| *minutes < 60)?;
                let offset = i64::from(hours * 3600 + minutes * 60);
                if sign == b'-' { -offset } else { offset }
            }
            _ => return None,
        };
        Self::from_unix_seconds(local.unix_seconds() - offset)
    }

    /// The day.
    #[must_use]
    pub fn date(self) -> Date {
        self.date
    }
}

impl FromStr for Date {
    type Err = Form;

    fn from_str(text: &str) -> Result<Self, Form> {
        Self::parse(text.as_bytes()).ok_or(Form::Date)
    }
}

impl FromStr for UtcTime {
    type Err = Form;

    fn from_str(text: &str) -> Result<Self, Form> {
        let (date, clock) = text.as_bytes().split_at_checked(10).ok_or(Form::Time)?;
        let date = Date::parse(date).ok_or(Form::Time)?;
        let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'Z'] = *clock else { return Err(Form::Time) };
        let part = |high, low, below: u32| number(&[high, low]).filter(|part| *part < below);
        let clock = part(h1, h2, 24).zip(part(m1, m2, 60)).zip(part(s1, s2, 60));
        let ((hour, minute), second) = clock.ok_or(Form::Time)?;
        Ok(Self { date, second_of_day: hour * 3600 + minute * 60 + second })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, second) = (self.second_of_day / 60, self.second_of_day % 60);
        write!(f, "{}T{:02}:{:02}:{second:02}Z", self.date, minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_seconds_of_real_days_in_utc_are_times() {
        for good in ["2026-11-23T09:00:00Z", "2024-02-29T23:59:59Z", "0001-01-01T00:00:00Z"] {
            assert_eq!(good.parse::<UtcTime>().unwrap().to_string(), good);
        }
        for bad in [
            "2026-11-23T09:00:00.5Z",
            "2026-11-23T09:00:00.0Z",
            "2026-11-23T09:00:00+00:00",
            "2026-11-23t09:00:00z",
            "2026-11-23 09:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T09:60:00Z",
            "2016-12-31T23:59:60Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-11-23T09:00Z",
            "2026-11-23",
            "+026-11-23T09:00:00Z",
            "2026-11-2\u{e9}T09:00:00Z",
            "",
        ] {
            assert_eq!(bad.parse::<UtcTime>(), Err(Form::Time), "{bad}");
        }
        assert!("2000-02-29".parse::<Date>().is_ok());
        assert_eq!("2026-2-01".parse::<Date>(), Err(Form::Date));
    }

    #[test]
    fn times_of_others_are_moved_to_utc() {
        for (text, expected) in [
            ("2010-05-10T10:30:00Z", Some("2010-05-10T10:30:00Z")),
            ("2010-05-10t10:30:00.999z", Some("2010-05-10T10:30:00Z")),
            ("2010-01-01T00:30:00+01:00", Some("2009-12-31T23:30:00Z")),
            ("2009-12-31T23:30:00-00:45", Some("2010-01-01T00:15:00Z")),
            ("2010-05-10T10:30:00", None),
            ("2010-05-10T10:30:00.Z", None),
            ("2010-05-10T10:30:00+1:00", None),
            ("2010-05-10T10:30:00+24:00", None),
            ("2010-05-10", None),
            ("2010-05-10T10:30:0\u{e9}Z", None),
        ] {
            let read = UtcTime::from_rfc3339(text).map(|time| time.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn unix_seconds_agree_with_the_calendar_day_by_day() {
        let mut day = Date::new(1, 1, 1).unwrap().unix_days();
        for year in 1..=9999 {
            for month in 1..=12 {
                for of_month in [1, days_in(year, month)] {
                    let date = Date::new(year, month, of_month).unwrap();
                    let expected = day + i64::from(of_month) - 1;
                    assert_eq!(date.unix_days(), expected, "{date}");
                    let time = UtcTime { date, second_of_day: 86_399 };
                    assert_eq!(UtcTime::from_unix_seconds(time.unix_seconds()), Some(time));
                }
                day += i64::from(days_in(year, month));
            }
        }
        assert_eq!("1970-01-01T00:00:00Z".parse::<UtcTime>().unwrap().unix_seconds(), 0);
        assert_eq!(UtcTime::from_unix_seconds(i64::MAX), None);
        assert_eq!(UtcTime::from_unix_seconds(253_402_300_800), None);
    }
}
