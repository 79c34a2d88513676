//! A command: started for each delivery, with the alerts as JSON on its standard input.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a command may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    program: String,
    arguments: Vec<String>,
}

impl Program {
    /// This command; it is started as it is, without a shell.
    ///
    /// # Errors
    /// If it is empty.
    pub fn new(command: &[String]) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("`command` is empty")?;
        Ok(Self { program: program.clone(), arguments: arguments.to_vec() })
    }

    /// Starts it, and waits for its end.
    ///
    /// # Errors
    /// Why it did not succeed, in words.
    pub async fn send(&self, body: String) -> Result<(), String> {
        let named = |error: std::io::Error| format!("{}: {error}", self.program);
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(named)?;
        let run = async {
            if let Some(mut input) = child.stdin.take() {
                // A command that does not read its input may still do its work.
                let _ = input.write_all(body.as_bytes()).await;
                let _ = input.write_all(b"\n").await;
            }
            child.wait().await
        };
        let ended = tokio::time::timeout(TIMEOUT, run).await;
        let status = ended.map_err(|_| format!("{} took more than {} s", self.program, TIMEOUT.as_secs()))?;
        let status = status.map_err(named)?;
        if status.success() { Ok(()) } else { Err(format!("{}: {status}", self.program)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_gets_the_alerts_and_its_failure_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("got");
        let words = ["sh", "-c", "cat > \"$0\"", file.to_str().unwrap()].map(str::to_owned);
        Program::new(&words).unwrap().send("{\"alerts\":[]}".to_owned()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"alerts\":[]}\n");
        let fails = Program::new(&["false".to_owned()]).unwrap();
        assert!(fails.send(String::new()).await.unwrap_err().contains("false"));
        let missing = Program::new(&["/no/such/program".to_owned()]).unwrap();
        assert!(missing.send(String::new()).await.is_err());
        assert!(Program::new(&[]).is_err());
    }
}
