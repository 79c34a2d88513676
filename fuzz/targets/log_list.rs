//! What was read from a list of logs is read again from the list that it is written to.
#![no_main]

use tlog::log_list::LogList;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = LogList::parse(bytes) {
        let again = LogList::parse(list.to_text().as_bytes()).expect("a list");
        assert_eq!(again.logs, list.logs);
        assert!(again.skipped.is_empty());
    }
});
