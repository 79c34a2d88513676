//! Alerts of the past, out of the file that has all of them: for a watch that is made after a log was caught.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::engine::LogAlert;

/// How much of the file is read, from its end.
const READ_BYTES_MAX: u64 = 1 << 20;

/// The newest alerts in the file, newest first; none if there is no file.
///
/// # Errors
/// The system's answer.
pub fn alerts(path: &Path, count: usize) -> std::io::Result<Vec<LogAlert>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let skipped = file.metadata()?.len().saturating_sub(READ_BYTES_MAX);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line may have lost its beginning.
    let lines: Vec<&str> = text.lines().skip(usize::from(skipped > 0)).collect();
    let alerts = (1..).zip(lines.iter().rev()).map(|(number, line)| LogAlert::parse(number, line));
    Ok(alerts.take(count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_alerts_come_first_and_a_long_file_costs_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        assert!(alerts(&path, 10).unwrap().is_empty());
        let line = |number: usize| {
            format!(
                "{{\"origin\":\"log\",\"kind\":\"fork\",\"event\":\"raised\",\"subject\":\"{number}\",\"detail\":\"d\"}}\n"
            )
        };
        let text: String = (0..20_000).map(line).collect();
        assert!(text.len() as u64 > READ_BYTES_MAX);
        std::fs::write(&path, text).unwrap();
        let found = alerts(&path, 3).unwrap();
        let titles: Vec<&str> = found.iter().map(|alert| alert.title.as_str()).collect();
        assert_eq!(titles, ["raised fork 19999", "raised fork 19998", "raised fork 19997"]);
        assert!(alerts(&path, usize::MAX).unwrap().len() < 20_000);
    }
}
