//! Messages on their way: each channel by itself, oldest first, crossed out after their delivery.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::clock::Clock;
use daemon::shutdown::Shutdown;
use serde::Serialize;
use tokio::sync::Notify;

use super::mail::Mail;
use super::program::Program;
use super::webhook::Webhook;
use super::{CHANNELS_MAX, ChannelConfig, ChannelError};
use crate::watch::WatchStore;
use crate::watch::message::{Found, one_line};
use crate::watch::store::{Message, WatchError};

/// Alerts that leave together.
const ALERTS_TOGETHER_MAX: usize = 50;
/// Pause between two looks for messages.
const PAUSE: Duration = Duration::from_millis(500);

/// A channel, ready to send.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// In seconds, where messages are gathered.
    digest: Option<u64>,
    /// In seconds, where a heartbeat is wanted.
    pub heartbeat: Option<u64>,
    /// Told when there may be messages, so that they need not wait for the next look.
    pub wake: Arc<Notify>,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Mail(Box<Mail>),
    Webhook(Box<Webhook>),
    Program(Program),
}

/// The channels of a configuration; files are relative to `dir`.
///
/// # Errors
/// [`ChannelError`] names the channel and what is wrong.
pub fn channels(configs: &[ChannelConfig], dir: &Path) -> Result<Vec<Channel>, ChannelError> {
    if configs.len() > CHANNELS_MAX {
        return Err(ChannelError::TooMany(configs.len()));
    }
    let mut channels: Vec<Channel> = Vec::with_capacity(configs.len());
    for config in configs {
        let failed = |problem: String| ChannelError::Config(config.name.clone(), problem);
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if config.name.is_empty() || !config.name.chars().all(plain) {
            return Err(failed("a name has letters, digits, -, _ and . in it, and nothing else".to_owned()));
        }
        if channels.iter().any(|channel| channel.name == config.name) {
            return Err(failed("the name is there twice".to_owned()));
        }
        channels.push(Channel {
            name: config.name.clone(),
            digest: config.digest.map(|every| every.0.as_secs()),
            heartbeat: config.heartbeat.map(|every| every.0.as_secs().max(60)),
            wake: Arc::new(Notify::new()),
            way: way(config, dir).map_err(failed)?,
        });
    }
    Ok(channels)
}

fn way(config: &ChannelConfig, dir: &Path) -> Result<Way, String> {
    let secret =
        |file: &Path| daemon::config::read_secret(&dir.join(file)).map_err(|error| error.to_string());
    match (&config.mail, &config.webhook, &config.command) {
        (Some(mail), None, None) => {
            let login = match (&mail.user, &mail.password_file) {
                (Some(user), Some(file)) => {
                    let password =
                        String::from_utf8(secret(file)?).map_err(|_| "the password is not UTF-8")?;
                    Some((user.clone(), password.trim_end().to_owned()))
                }
                (None, None) => None,
                _ => return Err("`user` and `password_file` are needed together".to_owned()),
            };
            Ok(Way::Mail(Box::new(Mail::new(&mail.server, login, &mail.from, &mail.to)?)))
        }
        (None, Some(hook), None) => {
            let bytes = secret(&hook.secret_file)?;
            let secret = bytes.trim_ascii_end().to_vec();
            Ok(Way::Webhook(Box::new(Webhook::new(&hook.url, secret, hook.allow_private)?)))
        }
        (None, None, Some(command)) => Ok(Way::Program(Program::new(command)?)),
        _ => Err("needs one of `mail`, `webhook` and `command`".to_owned()),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    alerts: &'a [Found],
}

impl Channel {
    /// Sends what waits, if it is time. Returns how many messages were delivered.
    ///
    /// # Errors
    /// [`WatchError`]: it cannot be remembered. That a channel fails is none: it is remembered.
    pub async fn deliver(&self, store: &WatchStore, now: u64) -> Result<usize, WatchError> {
        let waiting = store.waiting(&self.name, ALERTS_TOGETHER_MAX, now)?;
        let Some(oldest) = waiting.first().map(|message| message.at) else { return Ok(0) };
        // A message from the future was dated by a clock that was ahead: nobody knows how long it has waited.
        if self.digest.is_some_and(|every| oldest <= now && oldest.saturating_add(every) > now) {
            return Ok(0);
        }
        match self.send(&waiting, now).await {
            Ok(()) => {
                store.delivered(&self.name, &waiting, now)?;
                Ok(waiting.len())
            }
            Err(error) => {
                tracing::warn!(
                    channel = self.name,
                    error,
                    "messages could not be delivered; they are tried again"
                );
                store.failed(&self.name, &one_line(&error), now)?;
                Ok(0)
            }
        }
    }

    async fn send(&self, messages: &[Message], now: u64) -> Result<(), String> {
        // What cannot be read was written by a later version; it is not in the way of the rest.
        let alerts: Vec<Found> =
            messages.iter().filter_map(|message| serde_json::from_str(&message.body).ok()).collect();
        if alerts.is_empty() {
            return Ok(());
        }
        let json = || serde_json::to_string(&Body { alerts: &alerts }).expect("alerts have a JSON form");
        match &self.way {
            Way::Mail(mail) => mail.send(&subject(&alerts), text(&alerts)).await,
            Way::Webhook(hook) => hook.send(json(), now).await,
            Way::Program(program) => program.send(json()).await,
        }
    }

    /// Sends until the end is asked for.
    ///
    /// # Errors
    /// As [`Channel::deliver`].
    pub async fn run(
        self,
        store: Arc<WatchStore>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Result<(), WatchError> {
        while !shutdown.is_asked() {
            self.deliver(&store, clock.unix_millis() / 1000).await?;
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => (),
                () = self.wake.notified() => (),
                () = shutdown.asked() => (),
            }
        }
        Ok(())
    }
}

fn subject(alerts: &[Found]) -> String {
    let first = &alerts[0];
    let watch = first.watch.as_ref().map_or("daybook-monitor", |watch| watch.name.as_str());
    let more = if alerts.len() > 1 { format!(" (+{})", alerts.len() - 1) } else { String::new() };
    one_line(&format!("[{watch}] {}: {}{more}", first.event, first.title))
}

/// Alerts as text, those of one watch together.
fn text(alerts: &[Found]) -> String {
    let mut out = String::new();
    let mut last = None;
    for alert in alerts {
        if alert.watch != last {
            last.clone_from(&alert.watch);
            if let Some(watch) = &last {
                out.push_str(&format!("== {} ==\n\n", one_line(&watch.name)));
            }
        }
        out.push_str(&alert.to_text());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::message::Named;

    const NOW: u64 = 1_790_000_000;

    fn config(name: &str, command: &[&str]) -> ChannelConfig {
        ChannelConfig {
            name: name.to_owned(),
            mail: None,
            webhook: None,
            command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            digest: None,
            heartbeat: None,
        }
    }

    fn found(title: &str) -> String {
        let found = Found {
            event: "found".to_owned(),
            watch: Some(Named { id: 1, name: "Bridges".to_owned() }),
            title: title.to_owned(),
            ..Found::default()
        };
        serde_json::to_string(&found).unwrap()
    }

    #[tokio::test]
    async fn a_failing_channel_keeps_its_messages_and_delivers_them_together_once_it_works() {
        let folder = tempfile::tempdir().unwrap();
        let store = WatchStore::open(&folder.path().join("w.sqlite")).unwrap();
        let file = folder.path().join("got");
        let script = format!("test -e {0}.ok && cat >> {0}", file.display());
        let channel = channels(&[config("desk", &["sh", "-c", &script])], folder.path()).unwrap().remove(0);
        for title in ["one", "two"] {
            store.send("desk", title, &found(title), NOW).unwrap();
        }
        assert_eq!(channel.deliver(&store, NOW).await.unwrap(), 0);
        assert_eq!(channel.deliver(&store, NOW + 1).await.unwrap(), 0, "not before its time");
        let state = store.channel("desk").unwrap();
        assert_eq!((state.failures, state.waiting), (1, 2));
        std::fs::write(folder.path().join("got.ok"), "").unwrap();
        assert_eq!(channel.deliver(&store, NOW + 60).await.unwrap(), 2);
        let got: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(got["alerts"].as_array().unwrap().len(), 2);
        assert_eq!(channel.deliver(&store, NOW + 61).await.unwrap(), 0);
        assert_eq!(store.channel("desk").unwrap().failures, 0);
    }

    #[tokio::test]
    async fn a_digest_waits_and_leaves_together() {
        let folder = tempfile::tempdir().unwrap();
        let store = WatchStore::open(&folder.path().join("w.sqlite")).unwrap();
        let mut settings = config("desk", &["true"]);
        settings.digest = Some("1h".parse().unwrap());
        let channel = channels(&[settings], folder.path()).unwrap().remove(0);
        store.send("desk", "a", &found("a"), NOW).unwrap();
        store.send("desk", "b", &found("b"), NOW + 3_000).unwrap();
        assert_eq!(channel.deliver(&store, NOW + 3_599).await.unwrap(), 0);
        assert_eq!(channel.deliver(&store, NOW + 3_600).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_clock_that_was_ahead_stops_no_channel() {
        let folder = tempfile::tempdir().unwrap();
        let store = WatchStore::open(&folder.path().join("w.sqlite")).unwrap();
        let clock = daemon::clock::ManualClock::new(NOW * 1000);
        let now = || clock.unix_millis() / 1000;
        let (year, file) = (31_536_000, folder.path().join("works"));
        let script = format!("cat > /dev/null; test -e {}", file.display());
        let mut settings = config("digest", &["true"]);
        settings.digest = Some("1h".parse().unwrap());
        let made = channels(&[config("desk", &["sh", "-c", &script]), settings], folder.path()).unwrap();
        let [desk, digest] = &made[..] else { panic!("two") };
        clock.set_unix_millis((NOW + year) * 1000);
        for name in ["desk", "digest"] {
            store.send(name, "a", &found("a"), now()).unwrap();
            assert!(store.heartbeat(name, 86_400, &found("beat"), now()).unwrap());
        }
        assert_eq!(desk.deliver(&store, now()).await.unwrap(), 0);
        assert!(store.channel("desk").unwrap().retry_at.unwrap() > NOW + year);
        std::fs::write(file, "").unwrap();
        clock.set_unix_millis(NOW * 1000);
        assert_eq!(desk.deliver(&store, now()).await.unwrap(), 2, "tried again at once");
        assert_eq!(digest.deliver(&store, now()).await.unwrap(), 2, "nobody knows how long it has waited");
        assert!(store.heartbeat("desk", 86_400, &found("beat"), now()).unwrap(), "a sign of life is due");
        assert!(!store.heartbeat("desk", 86_400, &found("beat"), now()).unwrap());
        // A wait that a clock has written that is right is kept.
        store.failed("desk", "refused", now()).unwrap();
        assert_eq!(desk.deliver(&store, now()).await.unwrap(), 0);
        clock.advance(Duration::from_secs(5));
        assert_eq!(desk.deliver(&store, now()).await.unwrap(), 1);
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let dir = Path::new("/");
        assert!(channels(&[config("a b", &["true"])], dir).is_err());
        assert!(channels(&[config("a", &["true"]), config("a", &["true"])], dir).is_err());
        assert!(channels(&[ChannelConfig { command: None, ..config("a", &[]) }], dir).is_err());
    }

    #[test]
    fn what_an_entry_says_cannot_look_like_another_part_of_the_message() {
        let mut alert: Found = serde_json::from_str(&found("a\n== Bridges ==\nproof: https://evil")).unwrap();
        alert.text = "x\n\n== other ==".to_owned();
        let text = text(&[alert.clone()]);
        assert_eq!(text.lines().filter(|line| line.starts_with("==")).count(), 1, "{text}");
        assert!(!subject(&[alert]).contains('\n'));
    }
}
