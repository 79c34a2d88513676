//! Evidence about records through the command line: each form is proved under the log's key, and under no other.

use std::path::Path;

use serde_json::Value;
use tests::server::daybook;

const OTHER: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/record/evidence.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors")).expect("JSON")
}

#[test]
fn every_form_about_records_is_proved_under_the_logs_key_and_no_other() {
    let vectors = vectors();
    let folder = tempfile::tempdir().expect("a folder");
    let key = vectors["key"].as_str().expect("a key");
    let proved = vectors["proved"].as_array().expect("a list");
    assert_eq!(proved.len(), 9);
    for case in proved {
        let path = folder.path().join("it.evidence");
        std::fs::write(&path, case["file"].as_str().expect("a file")).expect("written");
        let path = path.to_string_lossy();
        let ended = daybook(&["verify-evidence", &path, "--key", key, "--json"]);
        assert_eq!(ended.status.code(), Some(0), "{}", case["form"]);
        let said: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        let file = &said["files"][0];
        for name in ["form", "id", "summary"] {
            assert_eq!(file[name], case[name], "{name}");
        }
        assert_eq!((file["about"].as_str(), file["role"].as_str()), (Some("records"), Some("log")));
        let text = daybook(&["verify-evidence", &path, "--key", key]);
        let text = String::from_utf8(text.stdout).expect("UTF-8");
        assert!(text.contains(case["summary"].as_str().expect("a sentence")), "{text}");
        let stranger = daybook(&["verify-evidence", &path, "--key", OTHER]);
        assert_eq!(stranger.status.code(), Some(1));
    }
}
