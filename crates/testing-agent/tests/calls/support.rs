//! A bus, a platform that answers as it is told, a testing agent, and an agent that calls it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use prometheus::Registry;
use ringdown_bus::{
    Bus, From, NatsServer, Observer, Options as BusOptions, ServerOptions, Stream, find_nats_server,
};
use ringdown_domain::attempt::Verdict;
use ringdown_proto::v1::call_fact::{Ended, Recorded, Step};
use ringdown_proto::v1::envelope::Fact;
use ringdown_proto::v1::{CallFact, CallScript, MatchReply, MatchRequest};
use ringdown_sip::{
    Call, DialError, DialRequest, Endpoint, EndpointOptions, Incoming, MediaOptions,
};
use ringdown_testing_agent::{Handle, Options, RecordingSink, Service, SinkError};
use ringdown_voice::{
    EnergyDetector, SpeechDetector, Synthesizer, Tone, TurnEvent, TurnOptions, Turns,
};
use tokio::sync::mpsc;

/// Long enough for a loaded machine; nothing waits for it when all goes well.
const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const RUN: i64 = 7;
pub(crate) const TEAM: &str = "team-1";
pub(crate) const AGENT_HZ: f64 = 1_700.0;

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

pub(crate) struct World {
    pub(crate) bus: Bus,
    pub(crate) server: NatsServer,
    pub(crate) agent: Option<Handle>,
    pub(crate) registry: Registry,
    pub(crate) folder: tempfile::TempDir,
    caller: Endpoint,
    _incoming: Incoming,
    facts: Observer,
    requests: mpsc::UnboundedReceiver<MatchRequest>,
}

/// What a world is made of.
pub(crate) struct Setup {
    pub(crate) platform: Option<Answer>,
    pub(crate) synthesizer: Arc<dyn Synthesizer>,
    pub(crate) sink_fails: bool,
    pub(crate) adjust: fn(&mut Options),
}

/// What the platform answers; `None` leaves the request unanswered.
pub(crate) type Answer = Box<dyn FnMut(&MatchRequest) -> Option<MatchReply> + Send>;

impl Default for Setup {
    fn default() -> Self {
        Self::matching(script())
    }
}

impl Setup {
    pub(crate) fn answering(
        mut answer: impl FnMut(&MatchRequest) -> Option<MatchReply> + Send + 'static,
    ) -> Self {
        Self {
            platform: Some(Box::new(move |request| {
                match request.decided_verdict.as_str() {
                    "" => answer(request),
                    decided => Some(MatchReply {
                        verdict: decided.to_owned(),
                        ..MatchReply::default()
                    }),
                }
            })),
            synthesizer: Arc::new(Tone),
            sink_fails: false,
            adjust: |_| {},
        }
    }

    pub(crate) fn matching(script: CallScript) -> Self {
        Self::answering(move |_| Some(matched(script.clone())))
    }

    pub(crate) async fn start(self) -> World {
        let folder = tempfile::Builder::new()
            .prefix("ringdown testing agent ")
            .tempdir()
            .unwrap();
        let server = NatsServer::start(ServerOptions {
            program: find_nats_server().unwrap(),
            folder: folder.path().join("nats"),
        })
        .await
        .unwrap();
        let bus = Bus::connect(&BusOptions {
            url: server.url().to_owned(),
            name: "testing-agent".to_owned(),
            replicas: 1,
        })
        .await
        .unwrap();
        let (seen, requests) = mpsc::unbounded_channel();
        if let Some(mut answer) = self.platform {
            let mut calls = bus.match_calls().await.unwrap();
            tokio::spawn(async move {
                while let Some(call) = calls.next().await {
                    let reply = answer(&call.request);
                    let _ = seen.send(call.request.clone());
                    if let Some(reply) = reply {
                        call.reply(&reply).await.unwrap();
                    }
                }
            });
        }
        let facts = bus
            .observe(Stream::Calls, Stream::Calls.subjects(), From::Beginning)
            .await
            .unwrap();
        let registry = Registry::new();
        let mut options = Options::new("127.0.0.1:0".parse().unwrap(), folder.path().join("calls"));
        (self.adjust)(&mut options);
        let sink = Folder {
            root: folder.path().join("artefacts"),
            fails: self.sink_fails,
        };
        let agent = Service::start(
            options,
            bus.clone(),
            self.synthesizer,
            Arc::new(sink),
            &registry,
        )
        .await
        .unwrap();
        let (caller, incoming) = Endpoint::bind(EndpointOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            user_agent: "agent-under-test".to_owned(),
            advertised_ip: None,
            incoming_backlog: 1,
        })
        .await
        .unwrap();
        World {
            bus,
            server,
            agent: Some(agent),
            registry,
            folder,
            caller,
            _incoming: incoming,
            facts,
            requests,
        }
    }
}

impl World {
    pub(crate) fn dial_request(&self) -> DialRequest {
        DialRequest {
            proxy: self.agent.as_ref().unwrap().local_addr(),
            from: "+15550100".to_owned(),
            to: "+15550199".to_owned(),
            display_name: None,
            headers: Vec::new(),
            ring_timeout: Duration::from_secs(15),
            media: MediaOptions::default(),
            credentials: None,
        }
    }

    pub(crate) async fn dial_with(&self, request: DialRequest) -> Result<Call, DialError> {
        soon("the outcome of the dial", self.caller.dial(request)).await
    }

    pub(crate) async fn dial(&self) -> Result<Call, DialError> {
        self.dial_with(self.dial_request()).await
    }

    /// Dials without any chance of an answer, and gives up soon.
    pub(crate) async fn hears_nothing(&self) {
        let mut request = self.dial_request();
        request.ring_timeout = Duration::from_secs(1);
        match self.dial_with(request).await {
            Err(DialError::NoResponse) => {}
            other => panic!("the caller heard something: {other:?}"),
        }
    }

    /// The next fact about a call, with its place in the stream.
    pub(crate) async fn fact(&mut self) -> (u64, CallFact) {
        let observed = soon("a fact", self.facts.next()).await.unwrap().unwrap();
        match observed.envelope.fact {
            Some(Fact::Call(fact)) => {
                assert_eq!((fact.run_id, observed.envelope.team.as_str()), (RUN, TEAM));
                (observed.sequence, fact)
            }
            other => panic!("not a fact about a call: {other:?}"),
        }
    }

    /// The facts until the call is recorded: the steps' names in order, and the last two.
    pub(crate) async fn report(&mut self) -> (Vec<&'static str>, Ended, Recorded) {
        let mut names = Vec::new();
        let mut ended = None;
        let mut last = 0;
        loop {
            let (sequence, fact) = self.fact().await;
            assert!(sequence > last);
            last = sequence;
            names.extend(fact.step_name());
            match fact.step.unwrap() {
                Step::Ended(end) => ended = Some(end),
                Step::Recorded(recorded) => {
                    let ended = ended.expect("recorded before ended");
                    assert_eq!(ended.reason, recorded.ended_reason);
                    return (names, ended, recorded);
                }
                _ => {}
            }
        }
    }

    /// The next request that the platform has seen.
    pub(crate) async fn request(&mut self) -> MatchRequest {
        soon("a match request", self.requests.recv()).await.unwrap()
    }

    pub(crate) fn artefact(&self, key: &str) -> PathBuf {
        self.folder.path().join("artefacts").join(key)
    }

    /// WAV files anywhere under the folder of recordings in progress.
    pub(crate) fn recordings_left(&self) -> Vec<PathBuf> {
        wavs(&self.folder.path().join("calls"))
    }

    pub(crate) fn counted(&self, metric: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == metric)
            .unwrap();
        family
            .get_metric()
            .iter()
            .filter(|m| label.is_empty() || m.get_label().iter().any(|pair| pair.value() == label))
            .map(|m| m.get_counter().get_value() + m.get_gauge().get_value())
            .sum()
    }

    pub(crate) async fn stop(mut self) {
        if let Some(agent) = self.agent.take() {
            agent.drain(PATIENCE).await;
        }
        self.caller.shutdown(Duration::from_secs(1)).await;
        self.server.stop().await;
    }
}

fn wavs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(wavs(&path));
        } else if path.extension().is_some_and(|extension| extension == "wav") {
            found.push(path);
        }
    }
    found
}

/// A sink that copies into a folder, or always fails.
struct Folder {
    root: PathBuf,
    fails: bool,
}

#[async_trait]
impl RecordingSink for Folder {
    async fn store(&self, key: &str, file: &Path) -> Result<(), SinkError> {
        if self.fails {
            return Err("the artefact store is full".into());
        }
        let target = self.root.join(key);
        tokio::fs::create_dir_all(target.parent().unwrap()).await?;
        tokio::fs::copy(file, target).await?;
        Ok(())
    }
}

pub(crate) fn script() -> CallScript {
    CallScript {
        first_message: "Hello there".to_owned(),
        replies: vec!["My order is late".to_owned()],
        closing: "Goodbye".to_owned(),
        max_duration_ms: 60_000,
        silence_timeout_ms: 20_000,
        language: "en".to_owned(),
    }
}

pub(crate) fn matched(script: CallScript) -> MatchReply {
    MatchReply {
        verdict: Verdict::Matched.to_string(),
        explanation: String::new(),
        run_id: RUN,
        team: TEAM.to_owned(),
        sip_status: 0,
        script: Some(script),
    }
}

pub(crate) fn tone(hertz: f64, seconds: f64) -> Arc<[i16]> {
    let count = (seconds * 8_000.0) as usize;
    (0..count)
        .map(|n| ((n as f64 * hertz * std::f64::consts::TAU / 8_000.0).sin() * 8_000.0) as i16)
        .collect()
}

/// The loudest 100 ms of a frequency (Goertzel).
pub(crate) fn loudest(samples: &[i16], hertz: f64) -> f64 {
    samples
        .chunks(800)
        .map(|chunk| {
            let coefficient = 2.0 * (hertz * std::f64::consts::TAU / 8_000.0).cos();
            let (mut last, mut before) = (0.0, 0.0);
            for sample in chunk {
                let next = f64::from(*sample) + coefficient * last - before;
                before = last;
                last = next;
            }
            let power = last * last + before * before - coefficient * last * before;
            power.max(0.0).sqrt() * 2.0 / chunk.len() as f64
        })
        .fold(0.0, f64::max)
}

/// Left (the agent under test) and right (the testing agent).
pub(crate) fn read_wav(path: &Path) -> (Vec<i16>, Vec<i16>) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate), (2, 8_000));
    let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    let channel = |first| samples.iter().skip(first).step_by(2).copied().collect();
    (channel(0), channel(1))
}

/// An agent that answers each turn of the testing agent with a tone, until the call is over.
pub(crate) async fn converse(call: &Call) {
    let mut detector = EnergyDetector::default();
    let mut turns = Turns::new(TurnOptions {
        end_silence: Duration::from_millis(400),
        ..TurnOptions::default()
    });
    while let Some(frame) = call.media().next_frame().await {
        let speech = detector.push(&frame.samples).speech;
        if let Some(TurnEvent::SpeechEnded { .. }) = turns.push(frame.at, speech) {
            let _ = call.media().play(tone(AGENT_HZ, 0.6));
        }
    }
}

/// Reads audio until the testing agent is heard.
pub(crate) async fn hear_speech(call: &Call) {
    let mut detector = EnergyDetector::default();
    let listening = async {
        loop {
            let frame = call.media().next_frame().await.expect("the call ended");
            if detector.push(&frame.samples).speech {
                return;
            }
        }
    };
    soon("speech of the testing agent", listening).await;
}
