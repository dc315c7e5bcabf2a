use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ringdown_domain::dial::{Outcome, Retry};
use ringdown_domain::{E164, Timestamp};
use ringdown_egress::{Client, Request};
use ringdown_proto::v1::AccountReply;
use ringdown_proto::v1::dial_fact::Followed;
use ringdown_provider::{
    Callback, Found, Habits, Kind, News, Order as Asked, Progress, Provider, Rejected, Settings,
    system_time,
};
use ringdown_vault::Keyring;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use url::Url;

use crate::{Carrier, Dialed, InvalidAccount, Making, Order};

/// Longest and shortest wait for the answer to a request that places a call; between them, as long as the window is
/// open.
const ANSWER: Duration = Duration::from_secs(30);
const QUICKEST: Duration = Duration::from_secs(3);

/// Longest wait for an answer that changes nothing.
const LOOK: Duration = Duration::from_secs(10);

/// First and longest pause before it is looked again for a call whose answer got lost: lists lag behind.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(8);

/// A request that can be repeated without a second call is repeated after this long without an answer.
const REPEAT: Duration = Duration::from_millis(500);

/// Largest answer that is read. Lists of calls are the longest.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// What an account may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The account, the same for all who share its limits; without a secret.
    pub account: String,
    /// Calls that may be started each second.
    pub calls_per_second: f64,
    /// Calls that may be up at once; `None`: as many as there are.
    pub concurrent_calls: Option<u32>,
    /// The least time that the provider can be told to let a call ring: with less left of a window it cannot be asked.
    pub least_ring: Duration,
}

/// A service that places calls, reached over HTTP.
pub struct Hosted {
    provider: Arc<dyn Provider>,
    client: Client,
    limits: Limits,
    callback: Option<Url>,
}

impl Hosted {
    /// An account at a provider.
    ///
    /// # Errors
    /// [`InvalidAccount`] says which setting to change.
    pub fn new(making: Making, client: Client) -> Result<Self, InvalidAccount> {
        let kind = Kind::parse(&making.provider).ok_or_else(|| {
            let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            InvalidAccount::Provider(making.provider.clone(), names.join(", "))
        })?;
        let mut settings = Settings::new(making.settings, making.secrets);
        if making.lenient {
            settings = settings.leniently();
        }
        let provider = ringdown_provider::build(kind, settings)
            .map_err(|error| InvalidAccount::Settings(kind.as_str(), error))?;
        let Habits {
            calls_per_second,
            concurrent_calls,
            least_ring,
            ..
        } = provider.habits();
        let limits = Limits {
            account: provider.account(),
            calls_per_second: making.calls_per_second.unwrap_or(calls_per_second),
            concurrent_calls: making.concurrent_calls.or(concurrent_calls),
            least_ring,
        };
        Ok(Self {
            provider,
            client,
            limits,
            callback: making.callback,
        })
    }

    /// An account as a platform tells of it, sealed.
    ///
    /// # Errors
    /// As [`Self::new`], or what the platform says instead of an account.
    pub fn told(
        account: AccountReply,
        keys: &Keyring,
        client: Client,
    ) -> Result<Self, InvalidAccount> {
        Self::new(Making::told(account, keys)?, client)
    }

    /// What the account may do.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Checks who sent a status callback, and reads it.
    ///
    /// # Errors
    /// [`Rejected`] if it is not believed, or cannot be read.
    pub fn callback(&self, callback: &Callback<'_>) -> Result<Vec<News>, Rejected> {
        self.provider.callback(callback)
    }

    fn asked(&self, order: &Order) -> Asked {
        let variables = variables(&order.test_profile_json);
        let sip_headers = variables
            .iter()
            .filter(|(name, _)| name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("x-")))
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        Asked {
            team: order.team.clone(),
            run: order.run,
            attempt_id: order.attempt_id.clone(),
            from: order.from.clone(),
            to: order.to.clone(),
            ring: order.time_left,
            closes_at: system_time().plus(order.time_left),
            variables,
            sip_headers,
            callback: self.callback.clone(),
        }
    }

    /// The number that the account calls from has to be one of the agent's: any other is refused on arrival.
    fn stranger(&self, order: &Order) -> Option<String> {
        let from = self.provider.caller_id()?;
        if order.caller_ids.is_empty() || order.caller_ids.contains(from) {
            return None;
        }
        let known: Vec<&str> = order.caller_ids.iter().map(E164::as_str).collect();
        Some(format!(
            "{} calls from {from}, but the agent is known by {}: the call would be refused; \
             change the account's number or the agent's",
            self.provider.name(),
            known.join(" or ")
        ))
    }

    /// Asks for what has to be there before the call is placed. Nothing is dialed by it.
    async fn prepare(&self, asked: &Asked, within: Duration) -> Result<(), Outcome> {
        let not_placed = |reason: String, retry| Outcome::NotPlaced { reason, retry };
        let request = self.provider.prepare(asked);
        let request = request.map_err(|unfit| not_placed(unfit.to_string(), Retry::Never))?;
        let Some(mut request) = request else {
            return Ok(());
        };
        request.timeout = within.clamp(QUICKEST, LOOK);
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|error| not_placed(error.to_string(), Retry::Later))?;
        let prepared = self.provider.prepared(&answer);
        prepared.map_err(|unprepared| not_placed(unprepared.reason, unprepared.retry))
    }

    /// Sends the request, and again where that is safe, until there is an answer. `begun` is when the first one was
    /// sent, and `doubt` what is not known of the ones before.
    async fn place(
        &self,
        asked: &Asked,
        request: Request,
        begun: Timestamp,
        doubt: Option<String>,
        stop: &CancellationToken,
    ) -> Outcome {
        let (mut first, mut doubt) = (doubt.clone(), doubt);
        let repeatable = self.provider.habits().repeatable_for;
        let repeatable = repeatable.map(|within| begun.plus(within).min(asked.closes_at));
        let mut pause = REPEAT;
        loop {
            if let Some(reason) = &doubt {
                let ambiguous = Outcome::Ambiguous {
                    reason: reason.clone(),
                };
                if repeatable.is_none_or(|until| system_time().plus(pause) >= until) {
                    return ambiguous;
                }
                info!(run = %asked.run, reason, "asking again with the same key");
                stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                // The pause may have been longer than it was to be, if this process was held up.
                if stop.is_cancelled() || repeatable.is_none_or(|until| system_time() >= until) {
                    return ambiguous;
                }
                pause *= 2;
            }
            let outcome = match self.client.send(request.clone()).await {
                Ok(answer) => self.provider.outcome(asked, &answer),
                Err(error) => unanswered(&error),
            };
            let reason = match (outcome, &first) {
                (Outcome::Ambiguous { reason }, _) => reason,
                // That it is refused now says nothing of the requests before it.
                (Outcome::NotPlaced { reason, retry }, Some(first)) => {
                    let reason = format!("{first}; asked again: {reason}");
                    match retry {
                        Retry::Never => return Outcome::Ambiguous { reason },
                        Retry::Later => {}
                        Retry::After(least) => pause = pause.max(least),
                    }
                    reason
                }
                (clear, _) => return clear,
            };
            first.get_or_insert_with(|| reason.clone());
            doubt = Some(reason);
        }
    }

    /// Places the call, and looks for it where the answer leaves a doubt.
    async fn settled(
        &self,
        asked: &Asked,
        request: Request,
        begun: Timestamp,
        doubt: Option<String>,
        stop: &CancellationToken,
    ) -> Outcome {
        match self.place(asked, request, begun, doubt, stop).await {
            Outcome::Ambiguous { reason } if self.provider.habits().looks_up => {
                self.look_for(asked, begun, reason, stop).await
            }
            outcome => outcome,
        }
    }

    /// Looks among the provider's calls for one whose answer got lost, until the window closes.
    async fn look_for(
        &self,
        asked: &Asked,
        asked_at: Timestamp,
        doubt: String,
        stop: &CancellationToken,
    ) -> Outcome {
        let ambiguous = |what: &str| Outcome::Ambiguous {
            reason: format!("{doubt}; {what}"),
        };
        let mut pause = FIRST_LOOK;
        let mut looks = 0u32;
        loop {
            // Once it is looked in any case: a call may have been found out late.
            if looks > 0 && system_time().until(asked.closes_at) < pause {
                return ambiguous(&format!(
                    "it was not among the provider's calls in {looks} looks; it is not dialed again"
                ));
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return ambiguous("called off while it was looked for");
            }
            pause = (pause * 2).min(LONGEST_LOOK);
            looks += 1;
            let Some(mut look) = self.provider.look_up(asked, asked_at) else {
                return Outcome::Ambiguous { reason: doubt };
            };
            look.timeout = LOOK;
            look.max_response_bytes = LARGEST_ANSWER;
            let answer = match self.client.send(look).await {
                Ok(answer) => answer,
                Err(error) => {
                    debug!(run = %asked.run, %error, "cannot look for a call");
                    continue;
                }
            };
            match self.provider.found(asked, asked_at, &answer) {
                Found::Call { provider_id } => return Outcome::Placed { provider_id },
                Found::Several => {
                    return ambiguous("several of the provider's calls could be it");
                }
                Found::Nothing => {}
                Found::Unreadable(why) => debug!(run = %asked.run, why, "a list of calls"),
            }
        }
    }
}

/// What a request that got no answer came to.
fn unanswered(error: &ringdown_egress::Error) -> Outcome {
    let reason = error.to_string();
    if error.may_have_been_sent() {
        Outcome::Ambiguous { reason }
    } else {
        Outcome::NotPlaced {
            reason,
            retry: Retry::Later,
        }
    }
}

/// How a call stands, as a fact for the bus.
pub fn followed(provider_id: &str, progress: &Progress) -> Followed {
    let mut step = Followed {
        provider_id: provider_id.to_owned(),
        state: match progress {
            Progress::Queued => "queued",
            Progress::Ringing => "ringing",
            Progress::Answered => "answered",
            Progress::Ended { .. } => "ended",
        }
        .to_owned(),
        ..Followed::default()
    };
    if let Progress::Ended {
        ending,
        sip_code,
        said,
    } = progress
    {
        step.ending = ending.to_string();
        step.sip_code = sip_code.map_or(0, u32::from);
        step.said.clone_from(said);
    }
    step
}

/// `main_agent_variables` of a test profile, which is JSON or empty.
fn variables(profile: &str) -> Map<String, Value> {
    let profile: Value = serde_json::from_str(profile).unwrap_or(Value::Null);
    let information = profile.get("information").unwrap_or(&profile);
    match information.get("main_agent_variables") {
        Some(Value::Object(variables)) => variables.clone(),
        _ => Map::new(),
    }
}

#[async_trait]
impl Carrier for Hosted {
    fn describe(&self) -> String {
        self.limits.account.clone()
    }

    async fn dial(&self, order: &Order, stop: &CancellationToken) -> Dialed {
        let refused = |reason: String| {
            Dialed::only(Outcome::NotPlaced {
                reason,
                retry: Retry::Never,
            })
        };
        if let Some(reason) = self.stranger(order) {
            return refused(reason);
        }
        let asked = self.asked(order);
        let mut request = match self.provider.request(&asked) {
            Ok(request) => request,
            Err(unfit) => return refused(unfit.to_string()),
        };
        if let Err(outcome) = self.prepare(&asked, order.time_left).await {
            return Dialed::only(outcome);
        }
        request.timeout = order.time_left.clamp(QUICKEST, ANSWER);
        // Once it is on its way, giving up would only leave a doubt.
        let outcome = self.settled(&asked, request, system_time(), None, stop);
        Dialed::only(outcome.await)
    }

    async fn recover(
        &self,
        order: &Order,
        begun: Timestamp,
        wanted: bool,
        stop: &CancellationToken,
    ) -> Result<String, String> {
        let asked = self.asked(order);
        let doubt = "there is no answer".to_owned();
        let outcome = match self.provider.request(&asked) {
            Ok(_) if !wanted => self.look_for(&asked, begun, doubt, stop).await,
            Ok(mut request) => {
                request.timeout = order.time_left.clamp(QUICKEST, ANSWER);
                self.settled(&asked, request, begun, Some(doubt), stop)
                    .await
            }
            Err(unfit) => self.look_for(&asked, begun, unfit.to_string(), stop).await,
        };
        match outcome {
            Outcome::Placed { provider_id } => Ok(provider_id),
            Outcome::NotPlaced { reason, .. } | Outcome::Ambiguous { reason } => Err(reason),
        }
    }

    fn limits(&self) -> Option<&Limits> {
        Some(&self.limits)
    }

    async fn progress(&self, provider_id: &str) -> Option<Progress> {
        let mut request = self.provider.status(provider_id)?;
        request.timeout = LOOK;
        request.max_response_bytes = LARGEST_ANSWER;
        match self.client.send(request).await {
            Ok(answer) => self.provider.progress(provider_id, &answer),
            Err(error) => {
                debug!(provider_id, %error, "cannot ask how a call stands");
                None
            }
        }
    }

    async fn call_off(&self, provider_id: &str) -> bool {
        let Some(mut request) = self.provider.cancel(provider_id) else {
            return false;
        };
        request.timeout = LOOK;
        match self.client.send(request).await {
            Ok(answer) => answer.status.is_success(),
            Err(error) => {
                debug!(provider_id, %error, "cannot call a call off");
                false
            }
        }
    }
}
