//! One answered call, from the first frame to its end.

use std::time::Duration;

use ringdown_domain::call::EndedReason;
use ringdown_proto::v1::call_fact::Turn;
use ringdown_sip::{Call, Ended, EndedBy, FRAME_DURATION, Playback, PlaybackReport, SAMPLE_RATE};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::facts::{Facts, millis};
use crate::hearing::Hearing;
use crate::live::Tokens;
use crate::prompts::{Prompts, Rendered};
use crate::script::{Action, Event, Plan, Prompt, Script, Timing};

const TESTING_AGENT: &str = "Testing Agent";
const MAIN_AGENT: &str = "Main Agent";
/// How much later than the media clock the wall clock ends an overlong call: only if that clock
/// stands still.
const CLOCK_SLACK: Duration = Duration::from_secs(2);
/// How long a call without audio may take to say that it is over.
const END_GRACE: Duration = Duration::from_secs(2);

/// What may end the call from outside.
pub(crate) struct Orders {
    /// The run is over.
    pub(crate) over: Tokens,
    /// The testing agent is being stopped.
    pub(crate) drained: CancellationToken,
}

/// How a conversation went.
pub(crate) struct Outcome {
    pub(crate) reason: EndedReason,
    pub(crate) ended: Ended,
    pub(crate) turns: Vec<Turn>,
}

struct Conversation<'a> {
    call: &'a Call,
    prompts: &'a Prompts,
    script: Script,
    hearing: Hearing,
    facts: &'a mut Facts,
    playing: Option<Playing>,
    turns: Vec<Turn>,
    now: Duration,
}

struct Playing {
    prompt: Rendered,
    playback: Playback,
    start: Duration,
}

/// Talks until the call is over.
pub(crate) async fn hold(
    call: &Call,
    prompts: &Prompts,
    (plan, timing): (Plan, Timing),
    hearing: Hearing,
    facts: &mut Facts,
    orders: &Orders,
) -> Outcome {
    let mut conversation = Conversation {
        call,
        prompts,
        script: Script::new(plan, timing),
        hearing,
        facts,
        playing: None,
        turns: Vec::new(),
        now: Duration::ZERO,
    };
    let decided = conversation.talk(plan.max_duration, orders).await;
    conversation.end(decided).await
}

impl Conversation<'_> {
    /// Returns why we hang up; `None` if the call ended without our doing.
    async fn talk(&mut self, max_duration: Duration, orders: &Orders) -> Option<EndedReason> {
        let media = self.call.media().clone();
        let overdue = tokio::time::sleep(max_duration.saturating_add(CLOCK_SLACK));
        tokio::pin!(overdue);
        loop {
            let decided = tokio::select! {
                biased;
                () = orders.over.cancelled.cancelled() => self.on(Event::Cancelled),
                () = orders.over.lost.cancelled() => self.on(Event::Lost),
                () = orders.drained.cancelled() => self.on(Event::Drained),
                () = &mut overdue => {
                    error!("the media clock stands still, ending the call by the wall clock");
                    self.now = max_duration;
                    self.on(Event::Tick { hearing: false })
                }
                report = finished(self.playing.as_ref()) => {
                    self.stopped_saying(report);
                    self.on(Event::PromptFinished)
                }
                frame = media.next_frame() => {
                    let frame = frame?;
                    self.now = frame.at.saturating_add(FRAME_DURATION);
                    let (event, hearing) = self.hearing.hear(&frame);
                    match event.and_then(|event| self.on(event)) {
                        Some(reason) => Some(reason),
                        None => self.on(Event::Tick { hearing }),
                    }
                }
            };
            if decided.is_some() {
                return decided;
            }
        }
    }

    /// Passes an event to the script and does what it says.
    fn on(&mut self, event: Event) -> Option<EndedReason> {
        for action in self.script.on(self.now, event) {
            match action {
                Action::Say(prompt) => self.say(prompt),
                Action::AgentTurn { start, end } => self.agent_spoke(start, end),
                Action::HangUp(reason) => return Some(reason),
            }
        }
        None
    }

    fn say(&mut self, prompt: Prompt) {
        let prompt = self.prompts.get(prompt);
        let playback = self.call.media().play(prompt.audio.clone());
        self.playing = Some(Playing {
            prompt,
            playback,
            start: self.now,
        });
    }

    /// Reports our own turn, as far as it was really said.
    fn stopped_saying(&mut self, report: PlaybackReport) {
        let Some(playing) = self.playing.take() else {
            return;
        };
        if report.sent == 0 {
            return;
        }
        let sent = u64::try_from(report.sent).unwrap_or(u64::MAX);
        let length = Duration::from_micros(
            sent.saturating_mul(1_000_000)
                .checked_div(u64::from(SAMPLE_RATE))
                .unwrap_or_default(),
        );
        self.turn(Turn {
            speaker: TESTING_AGENT.to_owned(),
            start_ms: millis(playing.start),
            end_ms: millis(playing.start.saturating_add(length)),
            text: playing.prompt.said(report.sent).to_owned(),
        });
    }

    fn agent_spoke(&mut self, start: Duration, end: Duration) {
        self.turn(Turn {
            speaker: MAIN_AGENT.to_owned(),
            start_ms: millis(start),
            end_ms: millis(end),
            text: String::new(),
        });
    }

    fn turn(&mut self, turn: Turn) {
        self.facts.turn(turn.clone());
        self.turns.push(turn);
    }

    async fn end(mut self, decided: Option<EndedReason>) -> Outcome {
        if let Some(playing) = &self.playing {
            let report = playing.playback.stop();
            self.stopped_saying(report);
        }
        let ended = match decided {
            Some(_) => self.call.hang_up().await,
            None => match tokio::time::timeout(END_GRACE, self.call.ended()).await {
                Ok(ended) => ended,
                Err(_) => self.call.hang_up().await,
            },
        };
        debug!(by = ?ended.by, duration = ?ended.duration, "the call is over");
        if let Some(Action::AgentTurn { start, end }) = self.script.finish(self.now) {
            self.agent_spoke(start, end);
        }
        self.turns.sort_by_key(|turn| turn.start_ms);
        Outcome {
            reason: reason(&ended.by, decided),
            ended,
            turns: self.turns,
        }
    }
}

/// Waits for what is being said; for ever if nothing is.
async fn finished(playing: Option<&Playing>) -> PlaybackReport {
    match playing {
        Some(playing) => playing.playback.finished().await,
        None => std::future::pending().await,
    }
}

/// Who was first decides: a BYE that crossed ours still means that the agent hung up.
fn reason(by: &EndedBy, decided: Option<EndedReason>) -> EndedReason {
    match (by, decided) {
        (EndedBy::Remote, _) => EndedReason::MainAgentEnded,
        (EndedBy::Local, Some(reason)) => reason,
        _ => EndedReason::CallFailed,
    }
}
