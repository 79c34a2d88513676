//! E-mail: one message for all alerts that wait, in UTF-8.

use std::time::Duration;

use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// How long a server may take for each answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Letters of a subject.
const SUBJECT_LETTERS_MAX: usize = 120;

/// An e-mail channel.
#[derive(Clone)]
pub struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("to", &self.to.len()).finish_non_exhaustive()
    }
}

impl Mail {
    /// A channel to these people.
    ///
    /// # Errors
    /// What is wrong with the settings, in words.
    pub fn new(
        server: &str,
        login: Option<(String, String)>,
        from: &str,
        to: &[String],
    ) -> Result<Self, String> {
        let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| format!("{text:?}: {error}"));
        let to: Vec<Mailbox> = to.iter().map(|text| mailbox(text)).collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err("`to` is empty".to_owned());
        }
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(server)
            .map_err(|error| format!("`server`: {error}; write smtps://mail.example"))?
            .timeout(Some(TIMEOUT));
        if let Some((user, password)) = login {
            builder = builder.credentials(Credentials::new(user, password));
        }
        Ok(Self { transport: builder.build(), from: mailbox(from)?, to })
    }

    fn message(&self, subject: &str, text: String) -> Result<Message, String> {
        let subject: String =
            subject.chars().filter(|letter| !letter.is_control()).take(SUBJECT_LETTERS_MAX).collect();
        let mut builder = Message::builder().from(self.from.clone()).subject(subject);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        builder.singlepart(SinglePart::plain(text)).map_err(|error| error.to_string())
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Why it was not taken, in words.
    pub async fn send(&self, subject: &str, text: String) -> Result<(), String> {
        let message = self.message(subject, text)?;
        self.transport.send(message).await.map(|_| ()).map_err(|error| {
            let (text, cause) = (error.to_string(), std::error::Error::source(&error));
            match cause.map(ToString::to_string).filter(|cause| !text.contains(cause)) {
                Some(cause) => format!("{text}: {cause}"),
                None => text,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that takes one message, and returns it.
    async fn server() -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            write.write_all(b"220 test\r\n").await.unwrap();
            let (mut data, mut message) = (false, String::new());
            while let Some(line) = lines.next_line().await.unwrap() {
                let answer = if data && line == "." {
                    data = false;
                    "250 taken\r\n"
                } else if data {
                    message.push_str(&line);
                    message.push('\n');
                    continue;
                } else if line.starts_with("DATA") {
                    data = true;
                    "354 go on\r\n"
                } else if line.starts_with("QUIT") {
                    break;
                } else {
                    "250 ok\r\n"
                };
                write.write_all(answer.as_bytes()).await.unwrap();
                if answer.starts_with("250 taken") {
                    break;
                }
            }
            message
        });
        (format!("smtp://{address}"), task)
    }

    #[tokio::test]
    async fn a_message_arrives_in_utf_8_and_a_subject_has_one_line() {
        let (url, received) = server().await;
        let mail =
            Mail::new(&url, None, "Monitor <m@example.org>", &["desk@example.org".to_owned()]).unwrap();
        mail.send("北京\r\nBcc: evil@example.org", "合同 amended\n".to_owned()).await.unwrap();
        let message = received.await.unwrap();
        assert!(message.contains("charset=utf-8"), "{message}");
        let headers = message.split("\n\n").next().unwrap();
        assert!(!headers.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{headers}");
        assert!(headers.contains("To: desk@example.org"), "{headers}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let to = ["desk@example.org".to_owned()];
        assert!(Mail::new("smtps://mail.example", None, "m@example.org", &to).is_ok());
        assert!(Mail::new("mail.example", None, "m@example.org", &to).is_err());
        assert!(Mail::new("smtps://mail.example", None, "nobody", &to).is_err());
        assert!(Mail::new("smtps://mail.example", None, "m@example.org", &[]).is_err());
    }
}
