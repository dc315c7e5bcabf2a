//! When the testing agent speaks, and when it hangs up: a pure state machine.
//!
//! Events go in with their moment on the media time axis, which begins at the answer; what is to be
//! done comes out as [`Action`]s. The machine never reads a clock and never sees audio.
//!
//! The rules: the testing agent says its first message, if it has one, a moment after the answer;
//! then after each turn of the agent it says the next reply, and when they are used up the closing,
//! and hangs up. It does not start to talk while the agent does, unless it has waited
//! [`Timing::max_wait`]. A turn of the agent that ended while we were still talking is reported, but
//! is no answer to what we said, so it does not make us go on.

use std::time::Duration;

use ringdown_domain::call::EndedReason;

/// When the testing agent speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the answer to the first message.
    pub first_delay: Duration,
    /// Silence that ends a turn of the agent: a shorter pause is part of the turn.
    pub reply_delay: Duration,
    /// The longest the testing agent waits for an agent that does not stop talking.
    pub max_wait: Duration,
    /// From the end of the closing to hanging up, so that its last packets are still played.
    pub closing_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(300),
            reply_delay: Duration::from_millis(700),
            max_wait: Duration::from_secs(30),
            closing_pause: Duration::from_millis(200),
        }
    }
}

/// What there is to say, and the limits of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// There is a first message; otherwise the agent speaks first.
    pub speaks_first: bool,
    /// Replies, each said after a turn of the agent.
    pub replies: usize,
    /// There is a closing; otherwise the call ends in silence.
    pub closing: bool,
    /// From the answer to the end at the latest.
    pub max_duration: Duration,
    /// Mutual silence that ends the call.
    pub silence_timeout: Duration,
}

/// Something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Prompt {
    /// The first message.
    First,
    /// A reply, counted from 0.
    Reply(usize),
    /// The closing.
    Closing,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time passed. Needed every 20 ms or so, for the rules that depend on time alone.
    Tick {
        /// There is sound right now that may become speech of the agent: a bad moment to start.
        hearing: bool,
    },
    /// The agent began to talk, at this moment or shortly before.
    SpeechStarted {
        /// Where its speech begins.
        start: Duration,
    },
    /// The agent stopped talking.
    SpeechEnded {
        /// Where its speech ends.
        end: Duration,
    },
    /// What was being said has been said, or could not be.
    PromptFinished,
    /// A user cancelled the run.
    Cancelled,
    /// The platform took the testing agent for lost, and ended the run.
    Lost,
    /// The testing agent is being stopped.
    Drained,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start to say this. [`Event::PromptFinished`] is expected when it is done.
    Say(Prompt),
    /// The agent's turn is over: report it.
    AgentTurn {
        /// Where it begins.
        start: Duration,
        /// Where it ends.
        end: Duration,
    },
    /// End the call. The last action ever.
    HangUp(EndedReason),
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Script {
    plan: Plan,
    timing: Timing,
    now: Duration,
    /// What is said next; `None` once the closing was begun.
    next: Option<Prompt>,
    speaking: Option<Prompt>,
    /// A turn of the agent answered what we said, so something is to be said in turn.
    owed: bool,
    hearing: bool,
    /// Where our last prompt ended.
    our_end: Option<Duration>,
    /// The agent's present turn.
    turn: Option<Turn>,
    /// Where the agent's last reported turn ended.
    last_turn_end: Duration,
    /// The end of the last sound of either side.
    last_sound: Duration,
    hang_up_at: Option<Duration>,
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    start: Duration,
    /// The end of its last speech; `None` while the agent talks.
    end: Option<Duration>,
}

impl Script {
    /// A conversation that begins now, at the answer.
    pub fn new(plan: Plan, timing: Timing) -> Self {
        let next = if plan.speaks_first {
            Prompt::First
        } else {
            first_reply(&plan)
        };
        Self {
            plan,
            timing,
            now: Duration::ZERO,
            next: Some(next),
            speaking: None,
            owed: false,
            hearing: false,
            our_end: None,
            turn: None,
            last_turn_end: Duration::ZERO,
            last_sound: Duration::ZERO,
            hang_up_at: None,
            over: false,
        }
    }

    /// Takes an event that was noticed at `at`. Time never runs backwards: an earlier `at` counts as
    /// the latest one seen. After a [`Action::HangUp`] nothing more comes out.
    pub fn on(&mut self, at: Duration, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.over {
            return actions;
        }
        self.now = self.now.max(at);
        match event {
            Event::Tick { hearing } => self.hearing = hearing,
            Event::SpeechStarted { start } => self.speech_started(start, &mut actions),
            Event::SpeechEnded { end } => {
                if let Some(turn) = &mut self.turn {
                    let end = end.clamp(turn.start, self.now.max(turn.start));
                    turn.end = Some(end);
                    self.last_sound = self.last_sound.max(end);
                }
            }
            Event::PromptFinished => {
                if let Some(said) = self.speaking.take() {
                    self.our_end = Some(self.now);
                    self.last_sound = self.now;
                    if said == Prompt::Closing {
                        self.hang_up_at = Some(self.now.saturating_add(self.timing.closing_pause));
                    }
                }
            }
            Event::Cancelled => self.hang_up(EndedReason::CancelledByUser, &mut actions),
            Event::Lost => self.hang_up(EndedReason::TestingAgentLost, &mut actions),
            Event::Drained => self.hang_up(EndedReason::TestingAgentDrained, &mut actions),
        }
        self.advance(&mut actions);
        actions
    }

    /// The agent's turn that was still open when the call ended at `at`.
    pub fn finish(&mut self, at: Duration) -> Option<Action> {
        self.over = true;
        let turn = self.turn.take()?;
        let end = turn.end.unwrap_or_else(|| self.now.max(at)).max(turn.start);
        Some(Action::AgentTurn {
            start: turn.start,
            end,
        })
    }

    fn speech_started(&mut self, start: Duration, actions: &mut Vec<Action>) {
        let start = start.min(self.now);
        match &mut self.turn {
            // A short pause: the same turn goes on.
            Some(turn)
                if turn
                    .end
                    .is_none_or(|end| start < end + self.timing.reply_delay) =>
            {
                turn.end = None;
            }
            Some(turn) => {
                // The pause was long enough, only no tick came to notice. The agent talks again, so
                // it keeps the floor.
                let end = turn.end.unwrap_or(start);
                self.last_turn_end = end;
                actions.push(Action::AgentTurn {
                    start: turn.start,
                    end,
                });
                self.turn = Some(Turn { start, end: None });
            }
            None => {
                // Turns never overlap, whatever the detector says.
                let start = start.max(self.last_turn_end);
                self.turn = Some(Turn { start, end: None });
            }
        }
    }

    fn advance(&mut self, actions: &mut Vec<Action>) {
        if self.over {
            return;
        }
        if self.now >= self.plan.max_duration {
            return self.hang_up(EndedReason::ExceededMaxDuration, actions);
        }
        if self.hang_up_at.is_some_and(|at| self.now >= at) {
            return self.hang_up(EndedReason::TestingAgentEnded, actions);
        }
        self.close_turn(actions);
        if self.speaking.is_none() && self.next.is_some() && self.is_due() {
            return self.say_next(actions);
        }
        let silent = self.speaking.is_none() && self.turn.is_none_or(|turn| turn.end.is_some());
        let since = self.now.saturating_sub(self.last_sound);
        if silent && self.hang_up_at.is_none() && since >= self.plan.silence_timeout {
            self.hang_up(EndedReason::SilenceTimedOut, actions);
        }
    }

    /// Closes the agent's turn once its pause is long enough.
    fn close_turn(&mut self, actions: &mut Vec<Action>) {
        let Some(Turn {
            start,
            end: Some(end),
        }) = self.turn
        else {
            return;
        };
        if self.now < end + self.timing.reply_delay {
            return;
        }
        self.turn = None;
        self.last_turn_end = end;
        actions.push(Action::AgentTurn { start, end });
        if self.our_end.is_none_or(|ours| end > ours) && self.speaking.is_none() {
            self.owed = true;
        }
    }

    /// Whether something is to be said now.
    fn is_due(&self) -> bool {
        let opening = self.next == Some(Prompt::First);
        let first_at = self.timing.first_delay;
        let waiting_since = match self.turn {
            None => {
                let wanted = self.owed || (opening && self.now >= first_at);
                return wanted && !self.hearing;
            }
            Some(_) if opening => first_at,
            Some(Turn { start, end: None }) => start.max(self.our_end.unwrap_or_default()),
            Some(_) => return false,
        };
        self.now >= waiting_since.saturating_add(self.timing.max_wait)
    }

    fn say_next(&mut self, actions: &mut Vec<Action>) {
        let Some(prompt) = self.next else { return };
        self.next = match prompt {
            Prompt::First => Some(first_reply(&self.plan)),
            Prompt::Reply(index) if index + 1 < self.plan.replies => Some(Prompt::Reply(index + 1)),
            Prompt::Reply(_) => Some(Prompt::Closing),
            Prompt::Closing => None,
        };
        if prompt == Prompt::Closing && !self.plan.closing {
            return self.hang_up(EndedReason::TestingAgentEnded, actions);
        }
        self.owed = false;
        self.speaking = Some(prompt);
        actions.push(Action::Say(prompt));
    }

    fn hang_up(&mut self, reason: EndedReason, actions: &mut Vec<Action>) {
        if !self.over {
            self.over = true;
            actions.push(Action::HangUp(reason));
        }
    }
}

fn first_reply(plan: &Plan) -> Prompt {
    if plan.replies > 0 {
        Prompt::Reply(0)
    } else {
        Prompt::Closing
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
