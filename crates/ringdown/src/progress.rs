//! Live progress of runs on standard error: one line per transition, and a bar on a terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ringdown_domain::dial::Stage;
use ringdown_domain::run::Status;
use ringdown_observer::{RunKey, RunView};

/// Least time between two lines about the queue, without a terminal.
const QUIET: Duration = Duration::from_secs(30);

/// What has been shown of a set of runs.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: BTreeMap<RunKey, Shown>,
    total: usize,
    /// Why the first queued run waits, as it was said last, and when.
    waiting: Option<(String, Instant)>,
}

/// What has been shown of one run.
struct Shown {
    /// States it had entered.
    states: usize,
    /// The state it was in.
    status: Status,
    /// Whether it was told that no call was placed.
    trouble: bool,
}

impl Progress {
    /// Progress of `total` runs.
    pub(crate) fn new(total: usize) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX))
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template(
            "{elapsed_precise} [{bar:40.cyan/blue}] {pos}/{len} runs ended, {msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            bar,
            shown: BTreeMap::new(),
            total,
            waiting: None,
        }
    }

    /// Shows every state that a run has entered since the last time. `label` says which run it is.
    pub(crate) fn show(&mut self, key: RunKey, view: &RunView, label: &str) {
        let shown = self.shown.get(&key).map_or(0, |known| known.states);
        for (status, _) in view.entered.iter().skip(shown) {
            let mut text = format!("{} - {label}, Phone: {}", message(*status), view.number);
            if status.is_terminal() && !view.error_message.is_empty() {
                text.push_str(&format!(" ({})", view.error_message));
            }
            self.say(&text);
        }
        let told = self.shown.get(&key).is_some_and(|known| known.trouble);
        let trouble = dial_trouble(view);
        if let Some(trouble) = trouble.as_ref().filter(|_| !told) {
            self.say(&format!("📵 {label}, Phone: {}: {trouble}", view.number));
        }
        let Some(status) = view.status else { return };
        let shown = Shown {
            states: view.entered.len(),
            status,
            trouble: trouble.is_some(),
        };
        self.shown.insert(key, shown);
        self.set_message();
        let done = self.count(Status::is_terminal);
        self.bar.set_position(u64::try_from(done).unwrap_or(0));
    }

    fn set_message(&self) {
        let up = self.count(|status| matches!(status, Status::Pending | Status::InProgress));
        let mut message = format!("{up} being called");
        if let Some((waiting, _)) = &self.waiting {
            message.push_str(&format!("\n{waiting}"));
        }
        self.bar.set_message(message);
    }

    /// Why the first queued run waits: a line under the bar, or without a terminal a line when it is news
    /// and the last one is a while ago.
    pub(crate) fn waiting(&mut self, why: Option<String>) {
        let Some(why) = why else {
            if self.waiting.take().is_some() {
                self.set_message();
            }
            return;
        };
        let known = self.waiting.as_ref();
        let old = known.is_some_and(|(said, at)| {
            *said == why || (self.bar.is_hidden() && at.elapsed() < QUIET)
        });
        if old {
            return;
        }
        if self.bar.is_hidden() {
            self.say(&why);
        }
        self.waiting = Some((why, Instant::now()));
        self.set_message();
    }

    /// The first run that waits for a slot.
    pub(crate) fn first_queued(&self) -> Option<i64> {
        let mut queued = self.shown.iter();
        let queued = queued.find(|(_, shown)| shown.status == Status::InQueue);
        queued.map(|(key, _)| key.run.0)
    }

    /// A line about something else.
    pub(crate) fn say(&self, text: &str) {
        if self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// Whether every run has ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.count(Status::is_terminal) >= self.total
    }

    fn count(&self, is: impl Fn(Status) -> bool) -> usize {
        self.shown.values().filter(|run| is(run.status)).count()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What went wrong when a run was dialed, if that is known.
pub(crate) fn dial_trouble(view: &RunView) -> Option<String> {
    let dial = view.dial.as_ref()?;
    match dial.stage {
        Stage::NotPlaced => Some(format!("no call was placed: {}", dial.detail)),
        Stage::Ambiguous => Some(format!("maybe no call was placed: {}", dial.detail)),
        Stage::Settled => Some(format!("the dialer vanished: {}", dial.detail)),
        Stage::Followed => (!dial.detail.is_empty())
            .then(|| format!("the provider says of its call: {}", dial.detail)),
        Stage::Claimed | Stage::Intended | Stage::Placed => None,
    }
}

/// The status messages that users of the reference's sample script know.
fn message(status: Status) -> &'static str {
    match status {
        Status::InQueue => "📋 Run is waiting in queue",
        Status::Pending => "⏳ Run is waiting to be executed",
        Status::InProgress => "🔄 Run is in progress",
        Status::Evaluating => "🔍 Run is being evaluated",
        Status::Completed => "✅ Run completed successfully",
        Status::Failed => "❌ Run failed during execution",
        Status::Timeout => "⏱️ Run timed out after exceeding time limit",
        Status::Cancelled => "🚫 Run was cancelled",
    }
}
