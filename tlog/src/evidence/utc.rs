//! Times as people read them: RFC 3339 in UTC, whole seconds.

/// The first second that has no four digits for its year.
const YEAR_10000: u64 = 253_402_300_800;
/// The last second that has an RFC 3339 form.
pub(super) const LATEST: u64 = YEAR_10000 - 1;

/// Seconds since 1970 as RFC 3339 in UTC, up to the year 9999; beyond it the number.
pub(super) fn utc(seconds: u64) -> String {
    if seconds >= YEAR_10000 {
        return format!("{seconds} seconds after 1970-01-01T00:00:00Z");
    }
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March, so that the day that a leap year adds comes last, in eras of 400 years.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = 400 * era + year + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The inverse of [`utc`], up to the year 9999; `None` for any other text.
pub(super) fn parse(text: &str) -> Option<u64> {
    // The seconds of a text grow with the text, so the one that is written like it is found by halving.
    let (mut low, mut high) = (0, YEAR_10000);
    while low < high {
        let middle = low + (high - low) / 2;
        if utc(middle).as_str() < text { low = middle + 1 } else { high = middle }
    }
    (low < YEAR_10000 && utc(low) == text).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (1, "1970-01-01T00:00:01Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_795_507_200, "2026-11-24T08:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "253402300800 seconds after 1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn only_what_was_written_is_read() {
        for seconds in [0, 1, 951_782_400, 1_709_251_199, 4_107_542_400, YEAR_10000 - 1] {
            assert_eq!(parse(&utc(seconds)), Some(seconds));
        }
        for refused in [
            "",
            "2026-11-24",
            "2026-11-24T08:00:00",
            "2026-11-24t08:00:00Z",
            "2026-11-24T08:00:00.0Z",
            "2026-11-24T08:00:60Z",
            "2026-02-29T08:00:00Z",
            "2026-13-01T08:00:00Z",
            "1969-12-31T23:59:59Z",
            "253402300800 seconds after 1970-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(refused), None, "{refused:?}");
        }
    }
}
